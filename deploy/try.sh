#!/bin/sh
# Builds the image, looks at its size, and serves a plan in it as its user, who can write to what the chart mounts and nothing else.
# try.sh PLAN
set -eu
plan=$1
most=60 # MB
store=$(mktemp -d)
pid= container=
end() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
	[ -z "$container" ] || $buildah umount "$container" >/dev/null || :
	rm -rf "$store"
}
trap end EXIT
buildah="buildah --storage-driver vfs --root $store/root --runroot $store/run"
chroot=$(command -v chroot || echo /usr/sbin/chroot)
# Without the right to mount there is nothing to be tried.
if ! container=$($buildah from scratch 2>&1) || ! $buildah mount "$container" >/dev/null 2>&1; then
	echo "skipped: buildah can not mount here: $container"
	container=
	exit 0
fi
$buildah umount "$container" >/dev/null
make -s image IMAGE=llmrun:try IMAGE_BUILDER="$buildah" 2>&1
container=$($buildah from --pull-never llmrun:try)
root=$($buildah mount "$container")
size=$(du -s --block-size=1000000 "$root" | cut -f1)
echo "the image has $size MB: $(cd "$root" && find . -type f | tr '\n' ' ')"
[ "$size" -le "$most" ] || { echo "more than $most MB" && exit 1; }
$buildah inspect --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}}' "$container" | grep -q '^65532:65532 \[/llmrun\]$' || { echo "not its user, or not its program" && exit 1; }

mkdir -p "$root/plan" "$root/cache" "$root/tmp" && cp "$plan" "$root/plan/" && chown 65532:65532 "$root/cache" "$root/tmp"
env -i LLMC_CACHE=/cache "$chroot" --userspec=65532:65532 "$root" /llmrun serve /plan --port=0 2>"$store/said" &
pid=$!
until grep '^ready: ' "$store/said"; do
	kill -0 "$pid" 2>/dev/null || { cat "$store/said" && exit 1; }
	sleep 0.1
done
url=$(sed -n 's/^ready: \(http[^ ]*\) .*/\1/p' "$store/said")
python3 - "$url" <<'P'
import json, sys, urllib.request
name = json.load(urllib.request.urlopen(sys.argv[1] + "/v1/models"))["data"][0]["id"]
ask = urllib.request.Request(sys.argv[1] + "/v1/completions", json.dumps({"model": name, "prompt": "1 + 1 =", "max_tokens": 4}).encode(), {"Content-Type": "application/json"})
usage = json.load(urllib.request.urlopen(ask))["usage"]
assert usage["completion_tokens"] > 0, usage
print("it answers:", usage)
P
