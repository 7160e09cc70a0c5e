package linux

import (
	"strconv"
	"sync"
)

// lateMu makes one caller write what is late; others wait until it is written.
var lateMu sync.Mutex

// settle writes what the runtime wrote to files (a heap dump) while nothing else
// ran: each call comes after all that was written before it.
func settle() {
	if config.Late != nil && config.Late.Load() != 0 {
		writeLate()
	}
}

func writeLate() {
	lateMu.Lock()
	defer lateMu.Unlock()
	for config.Late.Load() != 0 {
		fd, data := config.TakeLate()
		f, errno := fds.open(uintptr(fd))
		if errno == 0 {
			_, errno = f.doWrite(data)
		}
		if errno != 0 {
			complain("what the Go runtime wrote to descriptor " + strconv.Itoa(int(fd)) + " is lost: " + errno.Error())
		}
		config.Late.Add(^uint32(0))
	}
}
