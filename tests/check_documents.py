#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The documents against the programs: each command, option, method, parameter and
configuration member is in its manual page, and nothing else is.

The programs are asked: vswitchctl and the others for their help, a daemon without any
rights for its methods, --check for the members that a configuration may have.

usage: tests/check_documents.py [BUILD]     prints lines "ok   NAME" and "FAIL NAME"
"""
import glob, json, os, re, shlex, subprocess, sys, tempfile, time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
failed = False


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


def same(what, there, documented):
    """One line: nothing is missing in the documents, and nothing there is invented."""
    global failed
    there, documented = set(there), set(documented)
    if there == documented and there:
        print(f"ok   {what} ({len(there)})")
        return
    failed = True
    print(f"FAIL {what}")
    for names, why in ((there - documented, "is not documented"), (documented - there, "does not exist")):
        for name in sorted(names):
            print(f"     {name} {why}")
    if not there:
        print("     there is nothing to compare")


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def section(page, title, kind="Ss"):
    """What stands under a heading of a manual page."""
    found = re.search(rf"^\.{kind} {re.escape(title)}\n(.*?)(?=^\.S[hs] |\Z)", page, re.M | re.S)
    return found.group(1) if found else ""


def long_options(usage):
    return re.findall(r"(?<![\w-])--([a-z][a-z-]+)", usage)


def items(part):
    """The items of a list with what stands under each: [(the line after .It, text)]; one text for items in a row."""
    result, waiting = [], []
    for piece in re.split(r"^\.It ", part, flags=re.M)[1:]:
        head, _, body = piece.partition("\n")
        waiting.append(head)
        if body.strip() and not re.fullmatch(r"(\.Pp\n)*", body):
            result += [(one, body) for one in waiting]
            waiting = []
    return result + [(one, "") for one in waiting]


# --- vswitchctl ---------------------------------------------------------------------

ctl = os.path.join(BUILD, "vswitchctl")
help_text = run(ctl, "--help")
commands = {}
for line in re.search(r"^commands:\n(.*?)\n\n", help_text, re.M | re.S).group(1).splitlines():
    words = re.match(r"  ((?:[a-z][a-z-]* ?)+?)(?= [A-Z\[ ]|$)", line).group(1).split()
    commands[" ".join(words)] = run(ctl, *words, "--help")

page = text("man/vswitchctl.1")
described, described_options = {}, {}
for title in re.findall(r"^\.Ss (.*)$", page, re.M):
    for head, body in items(section(page, title)):
        if not head.startswith("Cm "):
            continue
        words = re.match(r"Cm ((?:[a-z][a-z-]* ?)+?)(?= [A-Z]|$)", head).group(1).strip()
        described[words] = described.get(words, 0) + 1
        described_options.setdefault(words, set()).update(re.findall(r"Fl -([a-z][a-z-]+)", head + "\n" + body))
        described_options[words].update(
            name for letter in re.findall(r"\bFl ([a-z])\b", head + "\n" + body)
            for name in re.findall(rf"-{letter}, --([a-z-]+)", "".join(commands.values()) + help_text))
same("vswitchctl(1): commands", commands, described)

general = set(long_options(re.search(r"options with every command:\n(.*?)\n\n", help_text, re.S).group(1)))
same("vswitchctl(1): options of every command", general,
     re.findall(r"^\.It Fl \w , -([a-z-]+)", page, re.M))
# What "port add" and "port set" have in common stands under the second.
described_options["port add"] = described_options.get("port add", set()) | (
    described_options.get("port set", set()) & set(long_options(commands["port add"])))
for name, help_of_it in commands.items():
    if name == "vlan set":      # Shares its options with the ports'.
        continue
    options = [o for o in long_options(help_of_it.partition("options:")[2])]
    if options or described_options.get(name, set()) - general:
        same(f"vswitchctl(1): options of {name}", options, described_options.get(name, set()) - general)

# --- the two other programs -----------------------------------------------------------

for program, source, manual in (("vswitchd", "vswitchd/options.c", "man/vswitchd.8"),
                                ("vswitch-guest", "guest/options.c", "man/vswitch-guest.8")):
    page = text(manual)
    parsed = set(re.findall(r"\{\s*\"([a-z][a-z-]+)\",\s*(?:no|required)_argument", text(source)))
    listed = re.findall(r"^\.It (?:Fl \w , (?:Fl )?)?(?:Fl )?-([a-z][a-z-]+)", page, re.M)
    same(f"{os.path.basename(manual)}: options", parsed, listed)
    if len(listed) != len(set(listed)):
        same(f"{os.path.basename(manual)}: each option once", ["twice: " + o for o in listed if listed.count(o) > 1], [])
    usage = set(long_options(run(os.path.join(BUILD, program), "--help")))
    same(f"{program} --help: options", parsed - {"help"}, usage - {"help"})

# --- methods and events -----------------------------------------------------------------

page = text("man/vswitch-rpc.7")
scratch = tempfile.TemporaryDirectory()
with open(os.path.join(scratch.name, "empty.json"), "w") as file:
    file.write("{}")
daemon = subprocess.Popen([os.path.join(BUILD, "vswitchd"), "--run-dir", scratch.name, "--log-level", "error",
                           "--config", os.path.join(scratch.name, "empty.json")])
try:
    socket = os.path.join(scratch.name, "control.sock")
    for _ in range(100):
        if os.path.exists(socket):
            break
        time.sleep(0.05)
    methods = {m["name"]: m["params"] for m in json.loads(run(ctl, "-s", socket, "-j", "methods"))}
finally:
    daemon.terminate()
    daemon.wait()

parameters, open_ended = {}, set()
for head, _ in items(section(page, "Methods")):
    for name, braces in re.findall(r"([a-z]+\.[a-z_]+)(?: Brq Cm ((?:(?![a-z]+\.[a-z]).)*))?", head[3:]):
        words = re.findall(r"[a-z_]+", (braces or "").replace("No ...", ""))
        parameters[name] = set(words)
        if "..." in (braces or ""):
            open_ended.add(name)
same("vswitch-rpc(7): methods", methods, parameters)
for name, there in methods.items():
    names = {p["name"] for p in there} if isinstance(there, list) else set(there)
    if name in open_ended:      # "members as in vswitchd.json(5)"
        names &= parameters.get(name, set()) | {"name"}
    if names or parameters.get(name):
        same(f"vswitch-rpc(7): parameters of {name}", names, parameters.get(name, ()))

events = set()
for path in glob.glob("vswitchd/**/*.c", recursive=True):
    events |= set(re.findall(r'"((?:port|fdb|guest|config|capture|daemon)\.(?:added|removed|changed|up|down|learned|'
                             r'moved|aged|suppressed|started|exited|applied|ending)|fdb\.limit)"', text(path)))
same("vswitch-rpc(7): events", events,
     re.findall(r"(?<![\w.])((?:port|fdb|guest|config|capture|daemon)\.[a-z]+)", section(page, "Events")))

# Members of answers and events: what the daemon's code puts into them, but for settings and the envelope.
envelope = {"jsonrpc", "method", "params", "id", "result", "error", "code", "message", "reason", "path", "hint", "errno",
            "seq", "time", "type", "data"}
answers = set()
for path in glob.glob("vswitchd/control/*.c") + glob.glob("vswitchd/guests*.c") + ["vswitchd/captures.c", "vswitchd/daemon_events.c"]:
    answers |= set(re.findall(r'jv_set(?:_[a-z]+)?\(\w+, "([a-z_]+)"', text(path)))
    answers |= set(re.findall(r'set_path\(\w+, "([a-z_]+)"', text(path)))
    answers |= set(re.findall(r'\{"([a-z_]+)", counters->', text(path)))
answers |= set(re.findall(r'jv_set(?:_[a-z]+)?\(\w+, "([a-z_]+)"', text("proto/json/json_check.c")))


def marked(part):
    """The words that a part marks as commands, not those that it quotes or names in passing."""
    return {word for line in re.findall(r"^\.(?:It )?Cm (.*)$", part, re.M) for word in re.findall(r"[a-z_.]*[a-z]", line.partition(" No ")[0])}


documented = marked(section(page, "Answers")) | marked(section(page, "Events"))
values = {"file", "request", "guest", "stopped", "starting", "running", "stopping", "static", "learned", "draining", "over", "event"}
same("vswitch-rpc(7): members of answers", answers - envelope - {"forward_reserved", "fdb_size", "mtu", "group"},
     {word for word in documented if "." not in word} - envelope - (values - answers))

drops = set(re.findall(r'\[DROP_\w+\] = "(\w+)"', text("vswitchd/core/counters.c"))) - {"none"}
same("vswitch-rpc(7): reasons of drops", drops, [head[3:] for head, _ in items(section(page, "Drops"))])

errors = section(page, "Errors")
codes = dict(re.findall(r"(CONTROL_\w+) = (-\d+)", text("proto/control_proto.h")))
same("vswitch-rpc(7): error codes", codes.values(), re.findall(r"^\.It (-\d+)", errors, re.M))
reasons = set()
for path in glob.glob("vswitchd/control/*.c"):
    reasons |= set(re.findall(r'"(?:reason\\":\\")?([a-z]+\.[a-z_]+)\\?"', text(path)))
same("vswitch-rpc(7): reasons of errors", reasons - set(methods) - (events - {"fdb.limit"}) - {"events.dropped"},
     re.findall(r"(?<![\w.])[a-z]+\.[a-z_]+", re.sub(r"^\.It.*$", "", errors, flags=re.M)))

# --- counters of a guest's process, its commands and exit statuses --------------------------

guest_page = text("man/vswitch-guest.8")
counters = set(re.findall(r'\{ "([a-z_]+)", (?:c|io)\.', text("guest/stats.c"))) \
    | set(re.findall(r'add_number\(t, "([a-z_]+)"', text("guest/stats.c"))) \
    | set(re.findall(r'\\"([a-z_]+)\\":', text("guest/stats.c") + text("guest/guest_nic.c"))) \
    | set(re.findall(r'\[(?:EXIT|X86VM_SLOW)_\w+\] = "([a-z_]+)"', text("x86vm/counters.c")))
groups = {"time", "engine", "devices", "nics", "engine.slow", "engine.exit", "engine.call", "engine.exception", "engine.interrupt"}
same("vswitch-guest(8): counters", counters - groups, marked(section(guest_page, "COUNTERS", "Sh")) - groups - {"port", "memory"})
commands_there = set(re.findall(r'\{ "([a-z]+)", on_\w+ \}', text("guest/control.c")))
same("vswitch-guest(8): commands of the control socket", commands_there,
     re.findall(r"^\.It Cm ([a-z]+)", section(guest_page, "FILES", "Sh"), re.M))
members = re.search(r"\((.*)\)", run(os.path.join(BUILD, "vswitch-guest"), "--name", "x", "--kernel", "x", "--nic", "?=1")).group(1)
nic = re.search(r"^\.It Fl -nic Ar nic\n(.*?)^\.It Fl -unpack", guest_page, re.M | re.S).group(1)
same("vswitch-guest(8): members of --nic", members.split(", "), re.findall(r"[a-z]+", " ".join(head[3:] for head, _ in items(nic))))


def statuses(page):
    return re.findall(r"^\.It (\d+)$", section(page, "EXIT STATUS", "Sh"), re.M)


sysexits = dict(OK=0, USAGE=64, DATAERR=65, NOINPUT=66, UNAVAILABLE=69, SOFTWARE=70, OSERR=71, CANTCREAT=73, IOERR=74, NOPERM=77, CONFIG=78)
daemon_sources = "".join(text(path) for path in glob.glob("vswitchd/*.c"))
same("vswitchd(8): exit statuses", [str(sysexits[name]) for name in ["OK", "USAGE"] + re.findall(r"\bEX_([A-Z]+)\b", daemon_sources)],
     statuses(text("man/vswitchd.8")))
same("vswitch-guest(8): exit statuses", re.findall(r"EXIT_\w+ = (\d+)", text("guest/run_loop.h") + text("guest/replay_guest.h")), statuses(guest_page))
ctl_page = text("man/vswitchctl.1")
same("vswitchctl(1): exit statuses", re.findall(r"(?:RPC|CLI)_\w+ = (\d+)", text("cli/rpc_client.h") + text("cli/command.h")), statuses(ctl_page))
same("vswitchctl --help: exit statuses", statuses(ctl_page), re.findall(r"(\d) ", help_text.partition("exit status: ")[2]))

# --- configuration -----------------------------------------------------------------------

page = text("man/vswitchd.json.5")


def members_at(document):
    """What the daemon says it knows where the member "?" is."""
    path = os.path.join(scratch.name, "c.json")
    with open(path, "w") as file:
        json.dump(document, file)
    found = re.search(r"unknown member \"\?\"; known: (.*)", run(os.path.join(BUILD, "vswitchd"), "--check", "--config", path))
    return found.group(1).split(", ") if found else []


def item_names(part):
    return [name for head, _ in items(part) for name in re.findall(r"[a-z_0-9]+", head.replace("Cm ", ""))]


top = section(page, "DESCRIPTION", "Sh").partition(".Ss")[0]
inner = re.search(r"^\.It Cm switch\n.*?\.Bl[^\n]*\n(.*?)^\.El", top, re.M | re.S).group(1)
guests = section(page, "Guests")
same("vswitchd.json(5): members", members_at({"?": 1}), set(item_names(top.replace(inner, ""))))
same("vswitchd.json(5): switch", members_at({"switch": {"?": 1}}), item_names(inner))
same("vswitchd.json(5): control", members_at({"control": {"?": 1}}),
     re.findall(r"^An object with\n\.Cm ([a-z_]+) :", top, re.M))
port = {"name": "a", "type": "tap"}
ports = members_at({"ports": [dict(port, **{"?": 1})]})
same("vswitchd.json(5): ports", ports, item_names(section(page, "Ports")))
vlan = dict(items(section(page, "Ports")))["Cm vlan"]
same("vswitchd.json(5): vlan", members_at({"ports": [dict(port, vlan={"?": 1})]}), re.findall(r"^\.Cm ([a-z_]+)", vlan, re.M))
guest = {"name": "g", "kernel": "/k"}
same("vswitchd.json(5): guests", members_at({"guests": [dict(guest, **{"?": 1})]}), item_names(guests))
cards = section(page, "Network cards")
same("vswitchd.json(5): nics", members_at({"guests": [dict(guest, nics=[{"model": "e1000", "?": 1}])]}), item_names(cards))

members = {member["name"]: member for member in methods["guest.define"]}["nics"]["items"]["members"]
models = {member["name"]: member for member in members}["model"]["enum"]
for manual, part in (("vswitchd.json(5)", dict(items(cards))["Cm model"]), ("vswitch-guest(8)", dict(items(nic))["Cm model"]),
                     ("vswitchctl(1)", section(ctl_page, "Guests")), ("vswitchctl --help", run(ctl, "guest", "run", "--help"))):
    same(f"{manual}: models of cards", models, re.findall(r"\b(?:e1000(?:-\w+)?|virtio-net|rtl80\d\d(?:as)?|ne[12]000)\b", part))

# Each number that a member may have at least and at most is where the member is described.


def ranges(specs, prefix=""):
    for spec in specs:
        if "maximum" in spec:
            yield prefix + spec["name"], {str(spec["minimum"]), str(spec["maximum"])}
        yield from ranges(spec.get("members", []) or (spec.get("items") or {}).get("members", []), prefix + spec["name"] + ".")


parts = {"switch.set": inner, "port.add": section(page, "Ports"), "guest.define": guests + cards}
for method, part in parts.items():
    described = dict((name, body) for head, body in items(part) for name in re.findall(r"[a-z_0-9]+", head.replace("Cm ", "")))
    limits = {f"{name} {number}": number for name, numbers in ranges(methods[method]) for number in numbers}
    # A card's port has the limits of ports, which stand there.
    limits = {what.replace("nics.", ""): number for what, number in limits.items() if not re.match(r"nics\.(vlan|mtu|max_macs)", what)}
    same(f"vswitchd.json(5): limits of {method}", limits,
         [what for what, number in limits.items() if re.search(rf"(?<![\d.]){number}(?![\d])", described[what.partition(".")[0].split()[0]])])

# --- the rules of strict mode ----------------------------------------------------------------


def sections(table):
    """What the last column of a table names: "13.4.25–27, 14.5" and so on, each range written out."""
    for cell in re.findall(r"^\|.*\| ([^|]*) \|$", table, re.M):
        for first, last in re.findall(r"(\d[\d.]*)(?:–(\d+))?", cell):
            head, _, number = first.rpartition(".")
            for n in range(int(number), int(last or number) + 1):
                yield f"{head}.{n}" if head else str(n)
    yield from re.findall(r"\((\d+(?:\.\d+)+)\)", table)


for document, source in (("docs/e1000.md", "nicemu/trace_e1000_rules.c"), ("docs/ne2000.md", "nicemu/trace_dp8390.c"),
                         ("docs/virtio-net.md", "nicemu/trace_virtio.c")):
    table = text(document).partition("## Mistakes that strict mode finds")[2].partition("\n## ")[0]
    known = set(sections(table))
    cited = set(re.findall(r'(?:nic_trace_rule\(&e->nic|nic_trace_rule\(nic|RULE\((?:d|nic)), "([\d.]+)"', text(source))) \
        | set(re.findall(r'ring_(?:base|length)\(e, v, "\w+", "([\d.]+)"', text(source)))
    same(f"{document}: sections of rules", {c for c in cited}, {c for c in cited if any(c == k or c.startswith(k + ".") for k in known)} |
         {k for k in known if not any(c == k or c.startswith(k + ".") for c in cited) and "." in k})

# --- the architecture: files and targets that it names ------------------------------------------

architecture = text("ARCHITECTURE.md")
quoted = re.findall(r"`([^`\n]+)`", architecture)
files = [path for path in glob.glob("**/*", recursive=True) if not path.startswith((BUILD + "/", "build", "cache"))]
named = {word for one in quoted for word in re.findall(r"[\w/.*-]+\.(?:c|h|S|sh|py|mk|txt)\b(?!\w)", one)}
same("ARCHITECTURE.md: files", {word for word in named if any(re.search("(^|/)" + re.escape(word).replace(r"\*", "[^/]*") + "$", path) for path in files)}, named)
rules = set(re.findall(r"^([a-z][a-z-]*):", "".join(text(p) for p in ["Makefile"] + glob.glob("*/*.mk")), re.M))
used = {word for one in quoted for word in re.findall(r"\bmake (?:[A-Z]+=\S+ )*([a-z][a-z-]*)", one)}
same("ARCHITECTURE.md: targets of make", used & rules, used)

variables = {name for path in glob.glob("x86vm/**/*.c", recursive=True) for name in re.findall(r'getenv\("(\w+)"\)', text(path))}
same("ARCHITECTURE.md: variables of the engine", variables, re.findall(r"`(X86VM_\w+)`", architecture))

# --- what the README tells to do -----------------------------------------------------------

readme = text("README.md")
targets = set(re.findall(r"^([a-z][a-z-]*):[^=\n]*## ", "".join(text(p) for p in ["Makefile"] + glob.glob("*/*.mk")), re.M))
used = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(re.findall(r"^    .*$|`[^`\n]*`", readme, re.M))))
same("README.md: targets of make", used & targets, used - {"git"})
shell = readme + text("man/vswitchctl.1").replace("\\e\n", "\\\n")      # mdoc writes a backslash as \e
wrong, lines = [], re.findall(r"^ *(?:sudo )?vswitchctl ((?:.*\\\n)*.*)", shell, re.M)
for line in lines:
    words = shlex.split(line.replace("\\\n", " ").partition(" | ")[0].replace("$PWD", "/"))
    answer = subprocess.run([ctl, *words, "--help"], capture_output=True, text=True, timeout=30)
    accepted = set(long_options(answer.stdout)) | general
    letters = set(re.findall(r"-([a-z]), --", answer.stdout + help_text))
    if answer.returncode or set(long_options(line)) - accepted or set(re.findall(r"(?<= )-([a-z])(?= |$)", line.partition(" | ")[0])) - letters:
        wrong.append(line)
same("README.md, vswitchctl(1): command lines", set(lines) - set(wrong), lines)
sys.exit(failed)
