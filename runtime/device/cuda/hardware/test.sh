#!/bin/sh
# Runs all tests that want an NVIDIA GPU and its driver, from prebuilt binaries (make gpu-kit): test.sh DIRECTORY-OF-BINARIES. No Go, no CUDA needed, but gzip.
# Each test is a process of its own: one that hangs or loses the device ends nothing but itself. OUT is where logs go, JOBS how many run at once, SECONDS_EACH
# how long one may take, ONLY an extended regular expression of names. LLMC_DEVICE=emulated takes an emulated driver.
set -u
kit=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../../../.." && pwd)
out=${OUT:-$kit/test}
each=${SECONDS_EACH:-240}
export LLMC_DEVICE="${LLMC_DEVICE:-cuda}"
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
hardware=$root/runtime/device/cuda/hardware
kernels=$root/codegen/cuda

# The binaries are packed, and unpacked for this run alone.
trap 'rm -f "$out/hardware.test" "$out/kernels.test"' EXIT
for binary in hardware.test kernels.test; do
	gzip -dc "$kit/$binary.gz" >"$out/$binary" && chmod +x "$out/$binary" || exit 2
done

cd "$hardware" || exit 2
"$out/hardware.test" -test.run '^TestCard$' -test.v >"$out/card.log" 2>&1
code=$?
grep -v -e '^=== RUN' -e '^PASS' "$out/card.log"
if [ $code -ne 0 ] || grep -q SKIPPED "$out/card.log"; then
	exit $code
fi

# One line a test: directory, binary, pattern.
{
	for t in TestGPU/sm80 TestGPU/sm89 TestGPU/sm90 TestSharing/sm80 TestSharing/sm90; do echo "$hardware hardware.test $t"; done
	cd "$kernels" && "$out/kernels.test" -test.list '^Test' | grep '^Test' | grep -v '^TestCoverage$' | sed "s|^|$kernels kernels.test |"
} | grep -E "${ONLY:-.}" >"$out/list"

export out each
begin=$(date +%s)
xargs -P "${JOBS:-4}" -L 1 sh -c '
	cd "$1" || exit 2
	log=$out/$(echo "$3" | tr / .).log
	start=$(date +%s)
	timeout $((each + 10)) "$out/$2" -test.run "^$(echo "$3" | sed "s|/|\$/^|")\$" -test.v -test.timeout "${each}s" >"$log" 2>&1
	code=$?
	took=$(($(date +%s) - start))
	result=ok
	if [ $code -ne 0 ]; then
		result=failed
		echo "FAIL $3 ($took s), $log:"
		grep -v -e "^=== " -e "^ *--- PASS" -e "^COVERED" "$log" | head -40
		echo "$3" >>"$out/failed"
	elif grep -q "^--- SKIP" "$log"; then
		result=skipped
		echo "skip $3: $(grep -m 1 -h -i "skip" "$log" | sed "s/^ *//")"
	else
		echo "ok   $3 ($took s), $(grep -c "^ *--- PASS" "$log") passed, $(grep -c "^ *--- SKIP" "$log") skipped"
	fi
	echo "{\"name\":\"$3\",\"result\":\"$result\",\"seconds\":$took}" >>"$out/results"
' run <"$out/list"

echo
grep -h '^COVERED' "$out"/*.log 2>/dev/null | sed 's/, [0-9]* launches$//' | sort -u >"$out/covered"
echo "entries that ran, each against the numbers of the interpreter or of plain arithmetic:"
sed 's/^COVERED /  /' "$out/covered"
if [ -z "${ONLY:-}" ]; then
	cd "$kernels" || exit 2
	LLMC_COVERED="$out/covered" "$out/kernels.test" -test.run '^TestCoverage$' -test.v >"$out/coverage.log" 2>&1 || echo TestCoverage >>"$out/failed"
	grep -v -e '^=== ' -e '^PASS' "$out/coverage.log"
fi
grep -h SKIPPED "$out"/Test*.log | sed 's/^ *[a-z_]*.go:[0-9]*: //' | sort | uniq -c | sed 's/^/  /'
# The same for programs.
{
	printf '{"card":"%s",\n"date":"%s",\n"tests":[\n' "$(sed -n 's/^ *hardware_test.go:[0-9]*: //p' "$out/card.log" | head -1 | tr -d '"\\')" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
	sed '$!s/$/,/' "$out/results"
	printf '],\n"covered":[\n'
	sed 's/^COVERED \(.*\)/"\1"/; $!s/$/,/' "$out/covered"
	echo ']}'
} >"$out/results.json"
echo "$(wc -l <"$out/list") tests in $(($(date +%s) - begin)) s; logs are in $out"
if [ -e "$out/failed" ]; then
	echo "FAILED: $(tr '\n' ' ' <"$out/failed")"
	exit 1
fi
echo PASSED
