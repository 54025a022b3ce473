"""A tool call from inside a bottle, with nothing but what every bottle has: ``sh -s TOOL ARGUMENTS``."""

SCRIPT = """
body=$(printf '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":%s}}' "$1" "$2")
curl -sS --max-time 60 http://supervise:9100/ -H 'content-type: application/json' \
  -H 'accept: application/json, text/event-stream' -d "$body" |
  sed -n 's/^data: //p' | python3 -c 'import json,sys; print(json.load(sys.stdin)["result"]["content"][0]["text"])'
"""
