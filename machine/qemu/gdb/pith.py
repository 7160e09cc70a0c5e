# Commands for gdb inside a Pith machine; `pith debug` loads this file.
#
#   pith-threads     lists the kernel's threads
#   pith-stack ID    shows the calls of one that does not run
#
# They read the kernel's own records (package sched) by the types and names in
# the image's symbols, so they work whenever the machine stands still, on any
# CPU. gdb's own "info threads" lists the CPUs.

import gdb

SCHEDULER = "pith/kernel/sched.Threads"
THREAD = "pith/kernel/sched.Thread"
FRAME = "pith/kernel/cpu.Frame"

STATES = {0: "running", 1: "ready", 2: "waits", 3: "ended"}
SYSCALL = 256  # cpu.Frame's Vector for a SYSCALL instruction
DEEPEST = 64  # calls that pith-stack follows
MOST = 100000  # threads; more means that the list is broken


def threads():
    """Every thread's record, the newest first."""
    kind = gdb.lookup_type(THREAD).pointer()
    at = int(gdb.parse_and_eval("'%s'.all" % SCHEDULER))
    for _ in range(MOST):
        if at == 0:
            return
        record = gdb.Value(at).cast(kind).dereference()
        yield record
        at = int(record["allNext"])


def frame(thread):
    """The registers with which a thread entered the kernel."""
    kind = gdb.lookup_type(FRAME)
    return gdb.Value(int(thread["top"]) - kind.sizeof).cast(kind.pointer()).dereference()


def place(address):
    """An address as function+offset and file:line."""
    text = "%#x" % address
    block = gdb.execute("info symbol %#x" % address, to_string=True).split(" in section")[0].strip()
    if not block.startswith("No symbol"):
        text = block.replace(" + ", "+")
    line = gdb.find_pc_line(address)
    if line.symtab is not None and line.line:
        text += " (%s:%d)" % (line.symtab.filename, line.line)
    return text


def entered(registers):
    """Why a thread is in the kernel."""
    vector = int(registers["Vector"])
    if vector == SYSCALL:
        return "syscall %d" % int(registers["AX"])
    return "vector %d" % vector


class Threads(gdb.Command):
    """List the kernel's threads: number, state, CPU, CPU time, why it is in the
kernel, and where the program is."""

    def __init__(self):
        super().__init__("pith-threads", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        print("%6s  %-8s %3s %10s  %-12s %s" % ("ID", "STATE", "CPU", "TIME", "IN", "AT"))
        for thread in sorted(threads(), key=lambda t: int(t["ID"])):
            state = int(thread["state"])
            name = STATES.get(state, str(state))
            ran = "%.3f s" % (int(thread["Ran"]) / 1e9)
            row = (int(thread["ID"]), name, int(thread["cpu"]), ran)
            if bool(thread["idle"]):
                print("%6s  %-8s %3d %10s  %s" % ("-", name, row[2], ran, "idle"))
            elif state == 0:
                print("%6d  %-8s %3d %10s  see `thread %d`" % (row + (int(thread["cpu"]) + 1,)))
            else:
                registers = frame(thread)
                print("%6d  %-8s %3d %10s  %-12s %s" % (row + (entered(registers), place(int(registers["IP"])))))


class Stack(gdb.Command):
    """Show the calls of a kernel thread that does not run: pith-stack ID."""

    def __init__(self):
        super().__init__("pith-stack", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument.strip().isdigit():
            raise gdb.GdbError("pith-stack wants a thread's number; pith-threads lists them")
        wanted = int(argument)
        for thread in threads():
            if int(thread["ID"]) == wanted and not bool(thread["idle"]):
                self.show(thread)
                return
        raise gdb.GdbError("there is no thread %d" % wanted)

    def show(self, thread):
        if int(thread["state"]) == 0:
            raise gdb.GdbError("it runs: use `thread %d` and `backtrace`" % (int(thread["cpu"]) + 1))
        registers = frame(thread)
        word = gdb.lookup_type("uintptr").pointer()
        at, base = int(registers["IP"]), int(registers["BP"])
        for depth in range(DEEPEST):
            print("#%-3d %s" % (depth, place(at)))
            # Go keeps frame pointers: the caller's, then the return address.
            try:
                pair = gdb.Value(base).cast(word)
                base, at = int(pair[0]), int(pair[1])
            except gdb.MemoryError:
                return
            if at == 0:
                return


Threads()
Stack()
