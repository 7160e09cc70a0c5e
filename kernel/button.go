package kernel

import (
	"syscall"

	"pith/kernel/acpi"
	"pith/kernel/cpu"
	"pith/kernel/rt"
)

// The power button's bit in the PM1 status and enable registers (ACPI 6.5,
// sections 4.8.3.1.1 and 4.8.3.1.2). Writing a one to the status clears it.
const powerButton = 1 << 8

// listenButton sends the program SIGTERM when somebody presses the machine's power
// button. Where the firmware describes the button in AML there is none for us.
func (m *machine) listenButton(b acpi.Button) {
	if !b.There() {
		return
	}
	// The line is level-triggered by its definition. Taken by its edge it needs
	// no acknowledgement in the interrupt handler: clearing the status below
	// lowers it, and every source but the button is switched off.
	pressed := rt.Line(b.Line, 0, 0)
	if pressed == nil {
		complain("the power button's interrupt line can't be had")
		return
	}
	cpu.Out16(b.Events, 0xffff)
	cpu.Out16(b.Events+b.Half, powerButton)
	go func() {
		for {
			pressed.Wait()
			status := cpu.In16(b.Events)
			cpu.Out16(b.Events, status)
			if status&powerButton != 0 {
				m.signal(int(syscall.SIGTERM))
			}
		}
	}()
}
