# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A private view of the Debian archive in the cache: other suites than the host's can be read and
# single packages fetched without root and without touching the host's own lists. The mirrors are
# the ones the host is configured with.

# apt_mirror main|security: base URI of that archive, as the host's sources have it
apt_mirror()
{
	local kind=$1 uri suite main='' security=''
	# shellcheck disable=SC2016 # the dollars are apt's
	while IFS='|' read -r uri suite; do
		case $suite in
		*-security | */updates) security=${security:-$uri} ;;
		bookworm | trixie | stable | sid | unstable) main=${main:-$uri} ;;
		esac
	done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' \
		'Created-By: Packages' 2>/dev/null | sort -u)
	[[ -n $main ]] || die "no Debian mirror in the apt sources of this machine"
	main=${main%/}
	security=${security%/}
	case $kind in
	main) echo "$main" ;;
	security) echo "${security:-${main%/debian}/debian-security}" ;;
	esac
}

# apt_options VIEW: the options that point apt at the private view VIEW, one a line
apt_options()
{
	local dir=$LLMOS_CACHE/apt/$1
	printf '%s\n' -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State=$dir/state" -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=1
}

# apt_view VIEW "URI SUITE COMPONENT"...: make or refresh the view; a suite that is not there is
# left out, no suite at all is an error
apt_view()
{
	local view=$1 dir=$LLMOS_CACHE/apt/$1 line
	local -a options
	shift
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,state}
	for line in "$@"; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $line"
	done >"$dir/sources.list"
	mapfile -t options < <(apt_options "$view")
	apt-get "${options[@]}" -q update >"$LLMOS_LOGS/apt-$view.log" 2>&1 || true
	compgen -G "$dir/lists/*_Packages*" >/dev/null ||
		die "cannot read the Debian archive '$1':" \
			"$(apt_why "$LLMOS_LOGS/apt-$view.log") (is the network up?)"
}

# apt_names VIEW PREFIX: package names in the view that begin so
apt_names()
{
	local -a options
	mapfile -t options < <(apt_options "$1")
	apt-cache "${options[@]}" pkgnames "$2"
}

# apt_unpack VIEW DIR PACKAGE...: download and unpack into DIR, nothing is installed
apt_unpack()
{
	local view=$1 dir=$2 tmp deb
	local -a options
	shift 2
	mapfile -t options < <(apt_options "$view")
	tmp=$(mktemp -d "$LLMOS_CACHE/debs.XXXXXX")
	if ! (cd "$tmp" && apt-get "${options[@]}" -q download "$@") >"$LLMOS_LOGS/fetch.log" 2>&1; then
		rm -rf "$tmp"
		die "cannot download '$*': $(apt_why "$LLMOS_LOGS/fetch.log") (is the network up?)"
	fi
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$dir"
	done
	rm -rf "$tmp"
}
