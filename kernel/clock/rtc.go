package clock

import "pith/kernel/cpu"

// RTC reads the PC's battery clock (MC146818 data sheet), as nanoseconds since
// 1970, taken as UTC. ok is false where there is none. It spins for at most
// some milliseconds.
func RTC() (wall int64, ok bool) {
	for try := 0; try < 100000 && cmos(0x0a)&0x80 != 0; try++ {
		cpu.Pause()
	}
	status := cmos(0x0b)
	field := func(reg uint8) int64 {
		v := cmos(reg)
		if status&4 == 0 {
			v = v&15 + v>>4*10
		}
		return int64(v)
	}
	sec, min, day, month, year := field(0), field(2), field(7), field(8), field(9)
	hour := cmos(4)
	pm := status&2 == 0 && hour&0x80 != 0
	hour &= 0x7f
	if status&4 == 0 {
		hour = hour&15 + hour>>4*10
	}
	if status&2 == 0 {
		hour %= 12
	}
	if pm {
		hour += 12
	}
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	days := daysSince1970(2000+year, month, day)
	return ((days*24+int64(hour))*60+min)*60*1e9 + sec*1e9, true
}

func cmos(reg uint8) uint8 {
	cpu.Out8(0x70, reg)
	return cpu.In8(0x71)
}

// daysSince1970 counts by the proleptic Gregorian calendar, with years that
// begin in March so that the leap day comes last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}
