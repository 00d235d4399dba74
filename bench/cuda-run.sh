# Everything that is run on the device machine, in one call: `bash bench/cuda-run.sh PARTS` with `.carry` carried (bench/cuda-build.mjs makes it).
# PARTS, in order: proof, runtime, conformance, flush, check, pack, time, suite (SUITE: its options). Reports go to $OUT.
set -u
root=$PWD
export PYTHONUNBUFFERED=1
xz -dc .carry/node.xz > /tmp/node && chmod +x /tmp/node
export MAGPIE_CACHE=/tmp/cache
mkdir -p /tmp/cache
if [ ! -e /tmp/cache/unpacked ]; then
  cat .carry/cubins.tar.xz.* 2>/dev/null | tar xJ -C /tmp/cache 2>/dev/null
  touch /tmp/cache/unpacked
fi
ls /tmp/cache/cuda 2>/dev/null | wc -l
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
cards=$(nvidia-smi -L | wc -l)
processes=${PROCESSES:-$(($(nproc) - 2))}
build=.carry/build
conformance() { CARDS=$cards timeout "$1" /tmp/node bench/cuda-conformance.mjs $build .carry/conformance "$OUT/$2" "$processes" --device cuda "${@:3}"; }
for part in $1; do
  begin=$(date +%s)
  case $part in
    proof) timeout 200 /tmp/node bench/cuda-proof.mjs $build .carry 2>&1 | tee "$OUT/proof.txt" ;;
    runtime) timeout 100 /tmp/node bench/cuda-proof.mjs $build .carry runtime 2>&1 | tee "$OUT/proof.txt" ;;
    conformance) conformance "${LIMIT:-400}" lazy ;;
    flush)
      conformance 200 eager --flush eager --forms none --only ' '
      conformance 200 random --flush random:5 --forms none --only ' '
      ;;
    check) timeout 200 /tmp/node bench/cuda-check.mjs $build/src same,one,train 2>&1 | tee "$OUT/check.txt" ;;
    pack) tar c -C /tmp/cache cuda | xz -T0 -6 | split -b 15M - "$OUT/cubins.tar.xz." ;;
    suite) timeout 560 /tmp/node --expose-gc $build/bench/main.js --suite cuda --json "$OUT/suite.json" ${SUITE:-} 2>&1 | tee "$OUT/suite.txt" ;;
    time) timeout 200 /tmp/node bench/cuda-check.mjs $build/src time 2>&1 | tee "$OUT/time.txt" ;;
  esac
  echo "== $part: $(($(date +%s) - begin)) s"
done
ls /tmp/cache/cuda | wc -l
