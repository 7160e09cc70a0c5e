package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/machine"
	"pith/machine/volume"
)

// openVolumes locks a machine's volumes, and makes those that are not there. Call
// unlock when the machine has ended.
func openVolumes(entry *machine.Entry) (disks []machine.Disk, unlock func(), err error) {
	store := volume.OpenStore(entry.Home())
	var open []*volume.Volume
	unlock = func() {
		for _, v := range open {
			v.Close()
		}
	}
	for i, want := range entry.Spec.Mounts {
		serial := fmt.Sprintf("pith-%d", i)
		if want.Source != "" {
			if err := volume.CheckFolder(want); err != nil {
				unlock()
				return nil, nil, err
			}
			disks = append(disks, machine.Disk{Path: want.Source, Serial: serial, Folder: true, ReadOnly: want.ReadOnly})
			continue
		}
		v, err := store.Use(want)
		if err != nil {
			unlock()
			return nil, nil, err
		}
		open = append(open, v)
		disks = append(disks, machine.Disk{Path: v.Path, File: v.File(), Serial: serial, ReadOnly: want.ReadOnly})
	}
	return disks, unlock, nil
}

func (a *app) volumeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "volume",
		Short: "Make, list, check and remove persistent volumes",
		Long: `A volume is a disk that outlives the machines that use it: a sparse file with an
ext4 file system, which Linux can mount too. ` + "`pith run -v NAME:/FOLDER`" + ` mounts it,
and makes it if there is none. One machine at a time may write to it.`,
		Example: `  pith volume create data --size 10G
  pith run -v data:/var/lib/data ./cmd/store
  pith volume ls
  pith volume check data
  pith volume rm data`,
	}
	c.AddCommand(a.volumeCreate(), a.volumeList(), a.volumeInspect(), a.volumeCheck(), a.volumeRemove())
	return c
}

func openVolumeStore() (*volume.Store, error) {
	dir, err := machine.DefaultDir(os.Getenv)
	if err != nil {
		return nil, err
	}
	return volume.OpenStore(dir), nil
}

func (a *app) volumeCreate() *cobra.Command {
	var size string
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make an empty volume",
		Example: "  pith volume create data --size 10G",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openVolumeStore()
			if err != nil {
				return err
			}
			bytes, err := machine.ParseMemory(size)
			if err != nil {
				return pith.Errorf("--size %s: write MiB as in 64, or 64M, or 1G", size)
			}
			if err := store.Create(args[0], bytes); err != nil {
				return err
			}
			fmt.Fprintln(a.out, args[0])
			return nil
		},
	}
	c.Flags().StringVar(&size, "size", "1G", "size in MiB, or with a unit as in 64M or 1G; the host's disk holds only what is written")
	return c
}

func (a *app) volumeList() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List volumes",
		Example: "  pith volume ls\n  pith volume ls -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			store, err := openVolumeStore()
			if err != nil {
				return err
			}
			list, err := store.List()
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(list)
			}
			return a.showVolumes(list, time.Now())
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) showVolumes(list []volume.Info, now time.Time) error {
	var rows [][]string
	for _, v := range list {
		use := "no"
		if v.InUse {
			use = "yes"
		}
		rows = append(rows, []string{v.Name, machine.FormatMemory(v.Size), machine.FormatMemory(v.Taken), use, age(now.Sub(v.Changed)) + " ago"})
	}
	return a.out.table("NAME SIZE TAKEN IN-USE CHANGED", rows)
}

func (a *app) volumeInspect() *cobra.Command {
	return &cobra.Command{
		Use:     "inspect NAME",
		Short:   "Describe a volume in JSON",
		Example: "  pith volume inspect data",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openVolumeStore()
			if err != nil {
				return err
			}
			info, err := store.Inspect(args[0])
			if err != nil {
				return err
			}
			return a.out.json(info)
		},
	}
}

func (a *app) volumeCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check NAME",
		Short: "Look whether a volume is sound",
		Long: `Check reads all of a volume that no machine uses, says what is wrong with it, and
changes nothing. It ends with 1 if something is; e2fsck then repairs the volume's
file, which ` + "`pith volume inspect`" + ` names.`,
		Example: "  pith volume check data",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openVolumeStore()
			if err != nil {
				return err
			}
			v, err := store.Open(args[0], false)
			if err != nil {
				return err
			}
			defer v.Close()
			problems, err := v.Check()
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(a.out, p)
			}
			if len(problems) > 0 {
				return fmt.Errorf("volume %s is damaged: run `e2fsck -f %s`", args[0], v.Path)
			}
			fmt.Fprintf(a.out, "%s is sound\n", args[0])
			return nil
		},
	}
}

func (a *app) volumeRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME...",
		Short:   "Remove volumes, with all that is on them",
		Example: "  pith volume rm data",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := openVolumeStore()
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range args {
				if err := store.Remove(name); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(a.out, name)
			}
			return errors.Join(errs...)
		},
	}
}
