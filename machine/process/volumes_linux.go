package process

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"pith/machine"
	"pith/machine/loopmount"
)

// MountVolumes mounts the volumes among a machine's disks so that the files of user 0 on
// them are nobody's on this host. Only a program that calls RunStage can do so.
func MountVolumes(disks []machine.Disk) (loopmount.Mounts, error) {
	mounts := make(loopmount.Mounts, len(disks))
	for i, d := range disks {
		if d.Folder {
			continue
		}
		owners, err := nobodysNamespace()
		if err == nil {
			mounts[i], err = loopmount.New(d, owners)
			owners.Close()
		}
		if err != nil {
			mounts.Close()
			return nil, err
		}
	}
	return mounts, nil
}

// nobodysNamespace makes a user namespace that has root and nobody exchanged: of a stage
// that waits for a job and is given none.
func nobodysNamespace() (*os.File, error) {
	control, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := exec.Command("/proc/self/exe")
	c.Args, c.Env, c.Dir = []string{stageName}, []string{}, "/"
	c.ExtraFiles = []*os.File{theirs}
	exchanged := []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: Nobody, Size: 1},
		{ContainerID: 1, HostID: 1, Size: Nobody - 1},
		{ContainerID: Nobody, HostID: 0, Size: 1},
		{ContainerID: Nobody + 1, HostID: Nobody + 1, Size: 1<<32 - 1 - (Nobody + 1)},
	}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: exchanged, GidMappings: exchanged, Setsid: true,
	}
	if err := c.Start(); err != nil {
		control.Close()
		return nil, fmt.Errorf("map the owners of a volume's files: %w", explain(err))
	}
	defer c.Wait()        // it ends with an error,
	defer control.Close() // because nothing comes
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", c.Process.Pid))
}
