"""Claude Code."""

from __future__ import annotations

from backends.presets.model import GUEST, REPORTER, SUPERVISE_URL, Api, Preset, as_json
from sidecars.secrets import placeholder

# Each entry answers one question of a first start. An API key in the environment is named by its last 20 characters;
# what CLAUDE.md may include from outside the project is still inside the bottle.
_CLAUDE_SETTINGS = {"skipDangerousModePermissionPrompt": True}
_CLAUDE_STATE = {
    "hasCompletedOnboarding": True,
    "customApiKeyResponses": {"approved": [placeholder("ANTHROPIC_API_KEY")[-20:]]},
    "projects": {
        "/workspace": {
            "hasTrustDialogAccepted": True,
            "hasClaudeMdExternalIncludesApproved": True,
            "hasClaudeMdExternalIncludesWarningShown": True,
        }
    },
}
_CLAUDE_SERVERS = {"supervise": {"type": "http", "url": SUPERVISE_URL}}

_HOOK_TIMEOUT_S = 5
_EVENTS = (
    "SessionStart", "SessionEnd", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
    "PermissionRequest", "PermissionDenied", "Notification", "Stop", "StopFailure", "SubagentStart", "SubagentStop",
    "PreCompact", "PostCompact", "Elicitation", "ElicitationResult",
)  # fmt: skip
_HOOK = {"type": "command", "command": REPORTER, "timeout": _HOOK_TIMEOUT_S}
_HOOKS = {"hooks": {event: [{"hooks": [_HOOK]}] for event in _EVENTS}}

CLAUDE = Preset(
    name="claude",
    tested="end to end with Claude Code 2.1",
    install="npm install -g @anthropic-ai/claude-code",
    environ={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_INSTALLATION_CHECKS": "1",
    },
    home={
        ".claude.json": as_json(_CLAUDE_STATE),
        ".claude/settings.json": as_json(_CLAUDE_SETTINGS),
    },
    supervised={".claude.json": as_json({**_CLAUDE_STATE, "mcpServers": _CLAUDE_SERVERS})},
    unattended=("--dangerously-skip-permissions",),
    permission_options=("--permission-mode", "--dangerously-skip-permissions", "--allowedTools"),
    resume=("--continue",),
    conversation=".claude/projects/-workspace/*.jsonl",
    conversation_mark='"type":"user"',
    interactive_mark='"entrypoint":"cli"',
    pin=("--session-id",),
    resume_one=("--resume",),
    session_options=("--session-id", "--resume", "-r", "--continue", "-c", "--fork-session", "--from-pr"),
    before_prompt=("--",),
    instructions=("--append-system-prompt",),
    skills=".claude/skills",
    reporting=("--settings", f"{GUEST}/hooks.json"),
    hooks=as_json(_HOOKS),
    # The line between two rules; the choices of a dialog have the same mark, and no rule above it.
    at_prompt="\n\u2500{20,}\n\u276f",
    apis=(Api("api.anthropic.com", ("/v1/messages", "/v1/models"), "CLAUDE_CODE_OAUTH_TOKEN"),),
)
