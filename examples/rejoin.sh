#!/bin/sh
# Leave an answer in the middle, read on from there, start another and stop it: with nothing but curl.
#
#     sh examples/rejoin.sh            HEADRACE_URL says where the server is, if not on this machine
set -eu
url=${HEADRACE_URL:-http://127.0.0.1:8003}
name=example-$$
request='{"model": "demo/counter", "stream": true, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 80}'

echo "-- an answer, and we leave it after a second"
part=$(curl -sN -m 1 "$url/v1/chat/completions" -H "Idempotency-Key: $name" -d "$request" || true)
# An id is "<stream>:<number>"; the last one says how far we are.
seen=$(printf '%s\n' "$part" | sed -n 's/^id: .*://p' | tail -n 1)
echo "   seen: $seen events"

echo "-- the same answer from event $seen on (the last lines)"
curl -sN "$url/v1/chat/completions/$name?stream=true&starting_after=$seen" | tail -n 5

echo "-- all of it, as plain text"
curl -sN "$url/v1/streams/$name?as=plain"
echo

echo "-- another one, stopped by its name: every reader is told"
curl -sN -m 10 "$url/v1/chat/completions" -H "Idempotency-Key: $name-2" -d "$request" | tail -n 3 &
sleep 1
curl -s -X POST "$url/v1/streams/$name-2/cancel"
echo
wait
