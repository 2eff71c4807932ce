#!/bin/bash
# TLS between the processes of Ray, tried once: a head with TLS and a token on a loopback address, a
# task through it, and a driver without TLS, which must be refused. Usage: tls.sh [PYTHON]
set -euo pipefail
python=$(realpath -s "${1:-.venv/bin/python}")
ray="$(dirname "$python")/ray"
ip=127.0.0.21 port=17379
folder=$(mktemp -d /tmp/rtls-XXXX)
trap 'kill ${head:-0} 2>/dev/null; wait 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=throw-away \
  -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=node -keyout node.key -out node.csr 2>/dev/null
openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -out node.crt \
  -extfile <(echo "subjectAltName=IP:$ip,IP:127.0.0.1") 2>/dev/null
chmod 600 ./*.key

export RAY_USAGE_STATS_ENABLED=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$folder/token"
(umask 077; openssl rand -hex 32 > token)
export RAY_USE_TLS=1 RAY_TLS_CA_CERT="$folder/ca.crt"
export RAY_TLS_SERVER_CERT="$folder/node.crt" RAY_TLS_SERVER_KEY="$folder/node.key"

"$ray" start --head --block --node-ip-address=$ip --port=$port --include-dashboard=false \
  --ray-client-server-port=17380 --num-cpus=1 --object-store-memory=100000000 \
  --min-worker-port=0 --max-worker-port=0 --temp-dir="$folder/ray" > head.log 2>&1 &
head=$!
for _ in $(seq 100); do
  "$ray" health-check --address $ip:$port > /dev/null 2>&1 && break
  sleep 0.5
done

cat > ask.py <<'PY'
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR", _node_ip_address=sys.argv[1].split(":")[0])
print("with TLS: a task says", ray.get(ray.remote(lambda: 6 * 7).remote()))
PY
"$python" ask.py $ip:$port
if RAY_USE_TLS=0 timeout 60 "$python" ask.py $ip:$port > plain.log 2>&1; then
  echo "without TLS: not refused" >&2
  exit 1
fi
echo "without TLS: refused"
