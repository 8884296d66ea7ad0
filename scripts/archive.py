"""Debian's archive, as the host's own apt configuration has it."""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import pathlib
import re
import subprocess

from common import cache_dir, fail

RELEASES = {"bookworm", "trixie", "forky", "duke", "sid", "oldoldstable",
            "oldstable", "stable", "testing", "unstable"}
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def deb822_entries(text):
    """The stanzas of a .sources file, as (types, uris, suites, components,
    keyring)."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = {}
        key = None
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and key:
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "uris" in fields:
            yield (fields.get("types", "").split(), fields["uris"].split(),
                   fields.get("suites", "").split(),
                   fields.get("components", "").split(),
                   fields.get("signed-by"))


def line_entries(text):
    """The lines of a .list file, in the same form."""
    for line in text.splitlines():
        m = re.match(r"\s*(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*"
                     r"([^#]*)", line)
        if m:
            options = dict(o.split("=", 1) for o in (m[2] or "").split()
                           if "=" in o)
            yield ([m[1]], [m[3]], [m[4]], m[5].split(),
                   options.get("signed-by"))


def apt_entries(etc):
    """The entries of all of apt's source lists, in apt's order."""
    files = [etc / "sources.list"]
    parts = etc / "sources.list.d"
    if parts.is_dir():
        files += sorted(parts.iterdir())
    forms = {".list": line_entries, ".sources": deb822_entries}
    for path in files:
        if path.is_file() and path.suffix in forms:
            yield from forms[path.suffix](
                path.read_text(encoding="utf-8", errors="replace"))


def main_entry(etc):
    """The mirror and keyring of the host's main Debian entry.

    Vendors name their suites and components as Debian does ("stable main"),
    so the entry taken is the one with most of what only Debian's has.
    """
    entries = list(apt_entries(etc))
    updates = {uri.rstrip("/") for _, uris, suites, _, _ in entries
               for uri in uris if any(s.endswith("-updates") for s in suites)}

    def rank(uri, key):
        uri = uri.rstrip("/")
        return (("debian-archive" in (key or ""))
                + uri.endswith("/debian") + (uri in updates))

    found = [(uris[0], key) for types, uris, suites, components, key in entries
             if "deb" in types and "main" in components
             and RELEASES.intersection(suites)
             and not any("security" in u for u in uris)]
    if not found:
        fail(f"no Debian entry with the component main in {etc}")
    return max(found, key=lambda entry: rank(*entry))


def apt_directory():
    """Where apt's own configuration is."""
    said = subprocess.run(["apt-config", "shell", "D", "Dir::Etc/d"],
                          check=True, capture_output=True, text=True).stdout
    return pathlib.Path(
        said.strip().partition("=")[2].strip("'") or "/etc/apt")


def stanza(kind, suite):
    """A suite of the host's archive, as a .sources file has it; `kind` is deb
    or deb-src."""
    uri, key = main_entry(apt_directory())
    if not key and KEYRING.exists():
        key = str(KEYRING)
    text = (f"Types: {kind}\nURIs: {uri}\n"
            f"Suites: {suite}\nComponents: main\n")
    if key:
        text += "Signed-By: " + key.replace("\n", "\n ") + "\n"
    return text


def apt_options(state, kind, suite):
    """Options that make apt work in `state` alone, on one suite: so a mirror
    that lacks another does not matter."""
    for sub in ("lists/partial", "cache/archives/partial"):
        (state / sub).mkdir(parents=True, exist_ok=True)
    sources = state / "debian.sources"
    sources.write_text(stanza(kind, suite), encoding="utf-8")
    status = pathlib.Path("/var/lib/dpkg/status")
    return ["-q", "-o", f"Dir::Etc::sourcelist={sources}",
            "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", "Dir::Etc::preferences=/dev/null",
            "-o", "Dir::Etc::preferencesparts=/dev/null",
            "-o", "APT::Default-Release=", "-o", "Acquire::Languages=none",
            "-o", f"Dir::State={state}", "-o", f"Dir::State::status={status}",
            "-o", f"Dir::Cache={state}/cache",
            "-o", "APT::Sandbox::User=" + ("root" if os.geteuid() == 0 else "")]


def index_digest(suite):
    """A digest of the suite's signed index as the archive has it now: it names
    all of the suite's packages and their contents."""
    state = cache_dir(f"apt/index-{suite}")
    result = subprocess.run(
        ["apt-get", *apt_options(state, "deb", suite), "update",
         "-o", "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false",
         "-o", "APT::Update::Error-Mode=any"],
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True)
    found = sorted(p for p in (state / "lists").iterdir()
                   if p.name.endswith(("_InRelease", "_Release")))
    if result.returncode or not found:
        fail(f"the suite {suite} of this host's Debian archive cannot be"
             f" read: {' '.join(result.stderr.split()) or 'no index'}")
    return hashlib.sha256(
        b"".join(p.read_bytes() for p in found)).hexdigest()
