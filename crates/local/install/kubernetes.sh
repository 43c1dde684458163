#!/usr/bin/env bash
# kubernetes.sh [DIR]: etcd, kube-apiserver and kube-controller-manager in DIR/kubernetes/bin.
#
# No registry of packages ships these binaries, but Debian 12 ships Kubernetes' whole source with its vendored
# libraries, the Go compiler it wants, and etcd. So they are built from that: offline once the packages are here,
# as any user, with nothing installed system-wide. 4 to 10 minutes on two cores, once; about 2 GB of disk meanwhile.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cache.sh"
. "$here/debian.sh"
cache_open kubernetes "${1:-}"

say "building kube-apiserver from Debian's source, once: 4 to 10 minutes on two cores"
need tar tar
debian_open bookworm
debian_fetch golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev etcd-server
(cd "$work/debs" && apt-get -qq source --download-only kubernetes/bookworm)
say "downloaded the source, the compiler and etcd"

debian_unpack "$work/go" golang-1.19-go golang-1.19-src
debian_unpack "$work/reflect2" golang-github-modern-go-reflect2-dev
debian_unpack "$work/etcd" etcd-server
tree=$work/gopath/src/k8s.io/kubernetes
mkdir -p "$tree" "$work/out/bin"
tar -xzf "$work"/debs/kubernetes_*.orig.tar.gz -C "$tree" --strip-components=1
cp "$work/etcd/usr/bin/etcd" "$work/out/bin/"
say "unpacked"

# GOPATH mode: in module mode Go finds the vendored tree out of step with go.mod and refuses.
export GOROOT=$work/go/usr/lib/go-1.19 GOPATH=$work/gopath GOCACHE=$work/gocache
export GO111MODULE=off GOPROXY=off GOFLAGS='' CGO_ENABLED=0 PATH="$work/go/usr/lib/go-1.19/bin:$PATH"
cd "$tree"

# The vendored reflect2 1.0.1 reads Go's internals as they were before 1.18: the server starts, and then every PATCH of
# a map panics. Debian's 1.0.2 is the version with the fix.
rm -rf vendor/github.com/modern-go/reflect2
cp -r "$work/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/

# The tarball lacks exactly one generated file: the OpenAPI definitions of every marked package.
boilerplate=vendor/k8s.io/code-generator/hack/boilerplate.go.txt
mapfile -t marked < <(
  grep -rl --include='*.go' '+k8s:openapi-gen=' vendor/k8s.io/ staging/src/k8s.io pkg cmd \
    | sed 's|^staging/src/|vendor/|' \
    | grep -v -E '^vendor/k8s.io/(code-generator|sample-apiserver|kube-openapi)/|zz_generated|_test\.go$' \
    | xargs -n1 dirname | LC_ALL=C sort -u)
packages=$(printf 'k8s.io/kubernetes/%s,' "${marked[@]}")
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
"$work/openapi-gen" --logtostderr -i "${packages%,}" -p k8s.io/kubernetes/pkg/generated/openapi \
  -O zz_generated.openapi -h "$boilerplate" -r "$work/violations" -o "$work/gopath/src" 2>"$work/openapi.log" \
  || { tail -n 5 "$work/openapi.log" >&2; give_up "openapi-gen failed"; }
test -s pkg/generated/openapi/zz_generated.openapi.go || give_up "openapi-gen wrote no definitions"
say "generated the OpenAPI definitions, compiling (the long part)"

# Clients ask the server for its version, so the build must carry it: 1.20.5+really1.20.2-... is 1.20.2.
version=$(basename "$work"/debs/kubernetes_*.orig.tar.gz .orig.tar.gz)
version=${version##*really}; version=${version##*_}
minor=${version#*.}; minor=${minor%%.*}
flags='-s -w'
for package in client-go/pkg/version component-base/version; do
  symbol=k8s.io/kubernetes/vendor/k8s.io/$package
  flags+=" -X $symbol.gitVersion=v$version -X $symbol.gitMajor=${version%%.*} -X $symbol.gitMinor=$minor -X $symbol.gitTreeState=archive"
done
# Without the cloud providers a third of the code stays out.
nice go build -tags providerless -trimpath -ldflags "$flags" -o "$work/out/bin/" ./cmd/kube-apiserver ./cmd/kube-controller-manager
"$work/out/bin/kube-apiserver" --version
cache_close out
