"""Agents besides Claude Code. Each says how far it was tried; none of their makers' services can be used in a test."""

from __future__ import annotations

from backends.presets.model import SUPERVISE_URL, Api, Preset, as_json
from sidecars.secrets import placeholder

_CODEX_TRUST = """\
check_for_update_on_startup = false

[projects."/workspace"]
trust_level = "trusted"
"""
_CODEX = Preset(
    name="codex",
    tested="first task, instructions and resume with Codex 0.169, against a stand-in for its API",
    install="npm install -g @openai/codex",
    home={
        ".codex/config.toml": _CODEX_TRUST,
        ".codex/auth.json": as_json({"auth_mode": "apikey", "OPENAI_API_KEY": placeholder("OPENAI_API_KEY")}),
    },
    supervised={".codex/config.toml": f'{_CODEX_TRUST}\n[mcp_servers.supervise]\nurl = "{SUPERVISE_URL}"\n'},
    unattended=("--dangerously-bypass-approvals-and-sandbox",),
    permission_options=(
        "-a",
        "--ask-for-approval",
        "-s",
        "--sandbox",
        "--dangerously-bypass-approvals-and-sandbox",
    ),
    resume=("resume", "--last"),
    conversation=".codex/sessions/*/*/*/*.jsonl",
    before_prompt=("--",),
    instructions_file=".codex/AGENTS.md",
    apis=(Api("api.openai.com", ("/v1/",), "OPENAI_API_KEY"),),
)

_GEMINI_SETTINGS = {
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "disableAutoUpdate": True},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
}
_GEMINI = Preset(
    name="gemini",
    tested="first task, instructions and resume with Gemini CLI 0.61, against a stand-in for its API",
    install="npm install -g @google/gemini-cli",
    home={".gemini/settings.json": as_json(_GEMINI_SETTINGS)},
    supervised={
        ".gemini/settings.json": as_json(
            {**_GEMINI_SETTINGS, "mcpServers": {"supervise": {"httpUrl": SUPERVISE_URL}}}
        )
    },
    unattended=("--yolo",),
    permission_options=("-y", "--yolo", "--approval-mode", "--allowed-tools"),
    resume=("--resume", "latest"),
    conversation=".gemini/tmp/*/chats/*.json*",
    before_prompt=("--prompt-interactive=",),
    instructions_file=".gemini/GEMINI.md",
    apis=(Api("generativelanguage.googleapis.com", ("/v1beta/",), "GEMINI_API_KEY", "x-goog-api-key"),),
)

_QWEN_SETTINGS = {
    "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
}
_QWEN = Preset(
    name="qwen",
    tested="first task, instructions and resume with Qwen Code 0.15, against a stand-in for its API",
    install="npm install -g @qwen-code/qwen-code",
    home={".qwen/settings.json": as_json(_QWEN_SETTINGS)},
    supervised={
        ".qwen/settings.json": as_json(
            {**_QWEN_SETTINGS, "mcpServers": {"supervise": {"httpUrl": SUPERVISE_URL}}}
        )
    },
    unattended=("--yolo",),
    permission_options=("-y", "--yolo", "--approval-mode", "--allowed-tools"),
    resume=("--continue",),
    conversation=".qwen/projects/*/chats/*.jsonl",
    before_prompt=("--prompt-interactive=",),
    instructions=("--append-system-prompt",),
    apis=(Api("dashscope.aliyuncs.com", ("/compatible-mode/v1/",), "OPENAI_API_KEY"),),
)

_OPENCODE_SETTINGS = {"$schema": "https://opencode.ai/config.json", "autoupdate": False, "share": "disabled"}
_OPENCODE = Preset(
    name="opencode",
    tested="starts with OpenCode 1.18 and opens a conversation with the task; no whole answer was seen",
    install="npm install -g opencode-ai",
    environ={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
    home={".config/opencode/opencode.json": as_json(_OPENCODE_SETTINGS)},
    supervised={
        ".config/opencode/opencode.json": as_json(
            {
                **_OPENCODE_SETTINGS,
                "mcp": {"supervise": {"type": "remote", "url": SUPERVISE_URL, "enabled": True}},
            }
        )
    },
    unattended=("--auto",),
    permission_options=("--auto",),
    resume=("--continue",),
    conversation=".local/share/opencode/opencode.db",
    before_prompt=("--prompt=",),
    instructions_file=".config/opencode/AGENTS.md",
    apis=(Api("api.anthropic.com", ("/v1/messages", "/v1/models"), "ANTHROPIC_API_KEY", "x-api-key"),),
)

_COPILOT = Preset(
    name="copilot",
    tested="starts with Copilot CLI 1.0 and reaches its service with the token; no log-in was tried",
    install="npm install -g @github/copilot",
    environ={"COPILOT_AUTO_UPDATE": "false"},
    home={".copilot/config.json": as_json({"trusted_folders": ["/workspace"], "banner": "never"})},
    supervised={
        ".copilot/mcp-config.json": as_json(
            {"mcpServers": {"supervise": {"type": "http", "url": SUPERVISE_URL, "tools": ["*"]}}}
        )
    },
    unattended=("--allow-all-tools", "--allow-all-paths"),
    permission_options=("--allow-all-tools", "--allow-all", "--yolo", "--allow-tool", "--deny-tool"),
    resume=("--continue",),
    conversation=".copilot/session-state/*/*",
    before_prompt=("--interactive=",),
    instructions_file=".copilot/copilot-instructions.md",
    apis=(
        Api("api.github.com", ("/copilot_internal/", "/user"), "GH_TOKEN", methods=("GET",)),
        Api("api.githubcopilot.com", (), "GH_TOKEN"),
    ),
)

_AMP = Preset(
    name="amp",
    tested="starts with Amp 0.0 (September 2026) and reaches its service with the token; no log-in was tried",
    install="npm install -g @sourcegraph/amp",
    home={".config/amp/settings.json": as_json({"amp.updates.mode": "disabled"})},
    supervised={
        ".config/amp/settings.json": as_json(
            {"amp.updates.mode": "disabled", "amp.mcpServers": {"supervise": {"url": SUPERVISE_URL}}}
        )
    },
    unattended=("--dangerously-allow-all",),
    before_prompt=("--",),
    permission_options=("--dangerously-allow-all",),
    instructions_file=".config/amp/AGENTS.md",
    apis=(Api("ampcode.com", (), "AMP_API_KEY"),),
)

OTHERS = (_CODEX, _GEMINI, _QWEN, _OPENCODE, _COPILOT, _AMP)
