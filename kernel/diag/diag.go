// Package diag is the kernel's voice when nothing else can speak: the boot,
// a fault, the last words. It writes to the emulated debug console, or to the
// first serial port where there is none.
//
// It relies on package cpu and the port numbers in package abi. It must not
// allocate or block, and locks for control messages only; it may be called from
// anywhere with interrupts off.
package diag

import (
	"pith/abi"
	"pith/kernel/cpu"
)

const serialPort = 0x3f8 // COM1

var useSerial bool

// Init looks which of the two is there: the debug console reads as its own
// port number (QEMU, hw/char/debugcon).
func Init() {
	if cpu.In8(abi.PortConsole) == abi.PortConsole {
		return
	}
	useSerial = true
	cpu.Out8(serialPort+1, 0)    // no interrupts
	cpu.Out8(serialPort+3, 0x80) // divisor
	cpu.Out8(serialPort, 1)      // 115,200 baud
	cpu.Out8(serialPort+1, 0)
	cpu.Out8(serialPort+3, 3) // 8N1
	cpu.Out8(serialPort+2, 7) // FIFO on, cleared
}

// Write writes n bytes at p to the console.
func Write(p, n uintptr) {
	if !useSerial {
		cpu.OutBytes(abi.PortConsole, p, n)
		return
	}
	for i := uintptr(0); i < n; i++ {
		for wait := 0; wait < 100000 && cpu.In8(serialPort+5)&0x20 == 0; wait++ {
		}
		cpu.Out8(serialPort, cpu.Load8(p+i))
	}
}

// Print writes a string.
func Print(s string) {
	for i := 0; i < len(s); i++ {
		printByte(s[i])
	}
}

func printByte(b byte) {
	if !useSerial {
		cpu.Out8(abi.PortConsole, b)
		return
	}
	for wait := 0; wait < 100000 && cpu.In8(serialPort+5)&0x20 == 0; wait++ {
	}
	cpu.Out8(serialPort, b)
}

// Hex writes 0x and digits.
func Hex(v uint64) {
	Print("0x")
	shift := 60
	for shift > 0 && v>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		printByte("0123456789abcdef"[v>>shift&15])
	}
}

// Decimal writes v's digits to the end of buf and returns them.
func Decimal(buf *[20]byte, v uint64) []byte {
	n := len(buf)
	for {
		n--
		buf[n] = byte('0' + v%10)
		v /= 10
		if v == 0 {
			return buf[n:]
		}
	}
}

// Dec writes a decimal number.
func Dec(v uint64) {
	var buf [20]byte
	for _, digit := range Decimal(&buf, v) {
		printByte(digit)
	}
}

// speaker is held while a control message is written, so that those of several
// CPUs don't mix.
var speaker cpu.SpinLock

// Message writes a control message, n bytes at p that end with a line's end.
func Message(p, n uintptr) {
	speaker.Lock()
	cpu.OutBytes(abi.PortControl, p, n)
	speaker.Unlock()
}

// Control writes one control message with up to three numbers for the machine's
// driver. The upper half, which can be interrupted, does so by rt.Announce.
func Control(word string, name string, numbers ...uint64) {
	speaker.Lock()
	control(word)
	if name != "" {
		control(" ")
		control(name)
	}
	for _, v := range numbers {
		control(" ")
		var buf [20]byte
		for _, digit := range Decimal(&buf, v) {
			cpu.Out8(abi.PortControl, digit)
		}
	}
	control("\n")
	speaker.Unlock()
}

func control(s string) {
	for i := 0; i < len(s); i++ {
		cpu.Out8(abi.PortControl, s[i])
	}
}

// OutOfMemory says what could not be had, on the console and to the machine's
// driver. what follows the count of bytes that were asked for; at is the address
// that they were asked for at, 0 for none.
func OutOfMemory(asked uint64, what string, at, used, total uint64) {
	Print("pith: out of memory: asked for ")
	Dec(asked)
	Print(what)
	if at != 0 {
		Print(" at ")
		Hex(at)
	}
	Print(", used ")
	Dec(used)
	Print(" of the ")
	Dec(total)
	Print(" bytes that the machine was given; give it more (pith run -m)\n")
	Control(abi.ControlOutOfMemory, "", asked, used, total)
}

// UnderWay counts the pieces of console output that were given to another
// device, and those that the host has taken; nil where there is none. Both wrap
// round. It must neither lock nor allocate.
var UnderWay func() (given, taken uint16)

// How long Drain waits for a host that takes nothing, in ticks of the time-stamp
// counter: about one second, and ten.
const (
	waitShort = 3_000_000_000
	waitLong  = 10 * waitShort
)

// Drain waits until the host has taken what was given to it so far, so that
// what is printed here follows it. It gives up on a host that takes nothing. It
// may be called anywhere, and spins.
func Drain() { drain(waitShort) }

func drain(patience uint64) {
	if UnderWay == nil {
		return
	}
	given, taken := UnderWay()
	for end := cpu.TSC() + patience; int16(taken-given) < 0 && cpu.TSC() < end; {
		cpu.Pause()
		_, now := UnderWay()
		if now != taken {
			taken, end = now, cpu.TSC()+patience
		}
	}
}

// Exit ends the machine with a code from 0 to 255. It does not return.
func Exit(code uint8) {
	drain(waitLong)
	Control(abi.ControlExit, "", uint64(code))
	cpu.Out32(abi.PortExit, uint32(code))
	// No exit device: leave by the keyboard controller's reset line, which ends
	// a virtual machine that is not to reboot; else stand still.
	cpu.Out8(0x64, 0xfe)
	cpu.Halt()
}
