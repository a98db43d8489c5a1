# SPDX-License-Identifier: GPL-2.0
"""Tell gdb of the patches of lpatch that a process or a core file has mapped: of their symbols and unwind tables.

gdb knows of code by the list of the dynamic linker, in which patches are not. This looks through what is mapped, when a
program stops and when files of a core file are read, and adds the patches as add-symbol-file does. gdb imports it as it
starts, with all that is in its package gdb.command.
"""

import atexit
import os
import stat
import struct

import gdb

STORE = "/var/lib/lpctl/store"
ELF_HEADER, PROGRAM_HEADER, SECTION_HEADER = 64, 56, 64
PT_NOTE, NT_GNU_BUILD_ID = 4, 3
LARGEST = 256 << 20  # bytes of a patch file
MOST_SECTIONS = 64  # of a patch file

FIND_HELP = 'its symbols are not known; "lpatch-symbols FILE.lp" takes them from its file'


class Mapping:
    """A mapping of the begin of a file."""

    def __init__(self, start, end, path, inode=None):
        self.start, self.end, self.inode = start, end, inode
        self.path = path.removesuffix(" (deleted)")

    @property
    def nameless(self):
        """The name of a signed patch, which is mapped from a copy that has no path; None for all else."""
        for prefix in ("/lpatch:", "/memfd:lpatch:"):
            if self.path.startswith(prefix):
                return self.path[len(prefix):]
        return None


def live_mappings(pid):
    """Read what a process on this machine has mapped."""
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(None, 5)
            if len(fields) == 6 and int(fields[2], 16) == 0 and fields[4] != "0":
                start, end = (int(part, 16) for part in fields[0].split("-"))
                yield Mapping(start, end, fields[5], (fields[3], int(fields[4])))


def core_mappings():
    """Read what a core file says that was mapped."""
    for line in gdb.execute("info proc mappings", to_string=True).splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5 and fields[0].startswith("0x") and int(fields[3], 16) == 0:
            yield Mapping(int(fields[0], 16), int(fields[1], 16), fields[4])


def visible(text):
    """Return a text so that nothing in it moves the cursor, begins a line, or turns the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_patch(path, inode=None):
    """Return the content of a patch file, None for what is none. It must have that device and number, if they are known.

    What cannot be read is an OSError. Of other files, which may be large, no more is read than headers. Whoever runs a process
    chooses the path, and with mounts of his own what it is to us: to open a device may be to start it, so it is looked at before."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        st = os.fstat(place)
        device = "%02x:%02x" % (os.major(st.st_dev), os.minor(st.st_dev))
        if not stat.S_ISREG(st.st_mode) or inode not in (None, (device, st.st_ino)):
            raise OSError("another file")
        fd = os.open("/proc/self/fd/%d" % place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(place)
    with os.fdopen(fd, "rb") as file:
        return file.read() if st.st_size <= LARGEST and is_patch(fd) else None


def is_patch(fd):
    """Tell whether an ELF file has the section in which patches are described."""
    try:
        head = os.pread(fd, ELF_HEADER, 0)
        if head[:6] != b"\x7fELF\x02\x01":
            return False
        offset, = struct.unpack_from("<Q", head, 0x28)
        number, names = struct.unpack_from("<HH", head, 0x3C)
        if number > MOST_SECTIONS:
            return False
        table = os.pread(fd, SECTION_HEADER * number, offset)
        heads = [struct.unpack_from("<IIQQQQ", table, SECTION_HEADER * i) for i in range(number)]
        return any(os.pread(fd, 8, heads[names][4] + head[0]) == b".lpatch\0" for head in heads)
    except (struct.error, IndexError, OverflowError):
        return False


def build_id(data):
    """Return the build-id that the begin of an ELF file has, or None."""
    try:
        offset, = struct.unpack_from("<Q", data, 0x20)
        number, = struct.unpack_from("<H", data, 0x38)
        for i in range(number):
            kind, _, note, _, _, size = struct.unpack_from("<IIQQQQ", data, offset + PROGRAM_HEADER * i)
            if kind == PT_NOTE and size >= 16:
                namesz, descsz, form = struct.unpack_from("<III", data, note)
                if form == NT_GNU_BUILD_ID and namesz == 4:
                    return bytes(data[note + 16:note + 16 + descsz])
    except struct.error:
        pass
    return None


def id_in_memory(inferior, start):
    """Return the build-id of what is mapped at an address, or None."""
    try:
        return build_id(bytes(inferior.read_memory(start, 0x400)))
    except gdb.MemoryError:
        return None


def candidates(found_id):
    """Return paths at which a patch with a build-id may be."""
    text = found_id.hex()
    for directory in gdb.parameter("debug-file-directory").split(":"):
        yield os.path.join(directory, ".build-id", text[:2], text[2:] + ".debug")
    try:
        names = sorted(os.listdir(STORE))
    except OSError:
        return
    for name in names:
        yield os.path.join(STORE, name)


class Patches:
    """The patches that gdb was told of, by inferior and address."""

    def __init__(self):
        self.known = {}
        self.said = set()
        self.not_patches = set()
        self.busy = False
        self.directory = None

    def update(self, *_):
        """Add what has come, and remove what is gone."""
        inferior = gdb.selected_inferior()
        if self.busy or not inferior.pid or not inferior.is_valid():
            return
        self.busy = True
        try:
            self.look(inferior)
        except (gdb.error, OSError, ValueError):
            pass  # of what cannot be looked at, gdb knows as much as without this
        finally:
            self.busy = False

    def look(self, inferior):
        kind = getattr(getattr(inferior, "connection", None), "type", None)
        if kind == "native":
            mappings, pid = list(live_mappings(inferior.pid)), inferior.pid
        elif kind == "core":
            mappings, pid = list(core_mappings()), None
        else:
            return
        self.forget(inferior, {m.start for m in mappings})
        for mapping in mappings:
            key = (inferior.num, mapping.start)
            if key not in self.known and (mapping.inode is None or mapping.inode not in self.not_patches):
                self.consider(inferior, mapping, pid)

    def forget(self, inferior, starts):
        """Remove what is not mapped any more."""
        for key in [k for k in self.known if k[0] == inferior.num and k[1] not in starts]:
            path = self.known.pop(key)
            try:
                gdb.execute('remove-symbol-file "%s"' % path, to_string=True)
            except gdb.error:
                pass  # gdb has removed it itself
            os.unlink(path)

    def consider(self, inferior, mapping, pid):
        """Add a mapping, if it is a patch."""
        paths = [] if mapping.nameless else [mapping.path]
        if pid:
            paths.append("/proc/%d/map_files/%x-%x" % (pid, mapping.start, mapping.end))
        found_id = None
        for path in paths:
            try:
                data = read_patch(path, mapping.inode)
            except OSError:
                continue
            if data is None:
                self.not_patches.add(mapping.inode)
                return
            found_id = id_in_memory(inferior, mapping.start)
            if found_id in (None, build_id(data)):
                self.add(inferior, mapping, data)
                return
        if mapping.nameless:
            self.search(inferior, mapping, found_id or id_in_memory(inferior, mapping.start))

    def search(self, inferior, mapping, found_id):
        """Add a patch that has a name only, if its file is found by the build-id."""
        for path in candidates(found_id) if found_id else ():
            try:
                data = read_patch(path)
            except OSError:
                continue
            if data is not None and build_id(data) == found_id:
                self.add(inferior, mapping, data)
                return
        if (inferior.num, mapping.start) not in self.said:
            self.said.add((inferior.num, mapping.start))
            gdb.write("lpatch: patch %s is mapped at %#x, and %s\n" % (visible(mapping.nameless), mapping.start, FIND_HELP))

    def add(self, inferior, mapping, data):
        """Give gdb a copy of a patch, which is there for as long as gdb is."""
        if self.directory is None:
            directory = os.path.join(os.environ.get("TMPDIR", "/tmp"), "gdb-lpatch-" + os.urandom(8).hex())
            os.mkdir(directory, 0o700)
            self.directory = directory
            atexit.register(self.clean)
        name = mapping.nameless or os.path.basename(mapping.path).removesuffix(".lp")
        name = "".join(c for c in name if c.isalnum() or c in "._+-")  # whoever runs a process chooses what it maps
        path = os.path.join(self.directory, "%x-%s.lp" % (mapping.start, name))
        with open(path, "wb") as file:
            file.write(data)
        gdb.execute('add-symbol-file "%s" -o %#x' % (path, mapping.start), to_string=True)
        self.known[(inferior.num, mapping.start)] = path

    def clean(self):
        """Remove the copies."""
        for path in self.known.values():
            os.unlink(path)
        os.rmdir(self.directory)

    def take(self, path):
        """Add a file that somebody names, wherever it is mapped."""
        try:
            data = read_patch(path)
        except OSError as error:
            raise gdb.GdbError("%s cannot be read: %s" % (visible(path), error.strerror or error)) from error
        if data is None:
            raise gdb.GdbError("%s is no patch" % visible(path))
        inferior = gdb.selected_inferior()
        live = getattr(getattr(inferior, "connection", None), "type", None) == "native"
        mappings = live_mappings(inferior.pid) if live else core_mappings()
        found = [m for m in mappings if id_in_memory(inferior, m.start) == build_id(data)]
        if not found:
            raise gdb.GdbError("%s is not mapped" % visible(path))
        for mapping in found:
            if (inferior.num, mapping.start) not in self.known:
                self.add(inferior, mapping, data)


PATCHES = Patches()


class LpatchSymbols(gdb.Command):
    """Read the symbols of the patches of lpatch that are mapped.

Usage: lpatch-symbols [FILE.lp]

Without a file, gdb looks through what is mapped, as it does when a program stops. With one, that is taken for the patch
with its build-id."""

    def __init__(self):
        super().__init__("lpatch-symbols", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        if argument:
            PATCHES.take(os.path.expanduser(gdb.string_to_argv(argument)[0]))
        else:
            PATCHES.update()


LpatchSymbols()
gdb.events.stop.connect(PATCHES.update)
gdb.events.new_objfile.connect(PATCHES.update)
gdb.events.before_prompt.connect(PATCHES.update)
