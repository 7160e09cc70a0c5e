package main

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pith/machine/host"
	"pith/machine/qemu"
)

// findings are what `pith doctor -o json` shows.
type findings struct {
	Ready    bool           `json:"ready"` // all that is required is there
	Findings []host.Finding `json:"findings"`
}

func (a *app) doctorCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this computer offers and what is missing",
		Long: `Doctor looks for the programs that Pith uses, whether KVM is usable, and which
networks can be had; for what is missing it shows the command that installs
it. It exits with 1 where something required is missing. It changes nothing.`,
		Example: `  pith doctor
  pith doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			f := examine(host.This())
			if format == "json" {
				if err := a.out.json(f); err != nil {
					return err
				}
			} else {
				a.showFindings(f)
			}
			if !f.Ready {
				return exitCode(1)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func examine(h host.Host) findings {
	var list []host.Finding
	list = append(list, goFinding(h))
	list = append(list, qemu.Examine(h)...)
	list = append(list, networkFinding(h))
	list = append(list, kindFindings(h)...)
	f := findings{Ready: true, Findings: list}
	for _, x := range list {
		f.Ready = f.Ready && (x.OK || !x.Required)
	}
	return f
}

func (a *app) showFindings(f findings) {
	for _, x := range f.Findings {
		mark := a.out.green("ok     ")
		switch {
		case !x.OK && x.Required:
			mark = a.out.red("missing")
		case !x.OK:
			mark = "no     "
		}
		fmt.Fprintf(a.out, "%s  %-7s %s\n", mark, x.Name, x.Detail)
		if !x.OK && x.Fix != "" {
			fmt.Fprintf(a.out, "                 %s\n", a.out.bold(x.Fix))
		}
	}
}

func goFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "go", Required: true, Fix: h.Install("go")}
	path, err := h.LookPath("go")
	if err != nil {
		f.Detail = "the go command builds the images, and is not installed"
		return f
	}
	out, err := h.Output(path, "version")
	m := goPattern.FindStringSubmatch(out)
	if err != nil || m == nil {
		f.Detail = path + " does not tell its version"
		return f
	}
	f.Detail = m[1] + ", " + path
	if minor, _ := strconv.Atoi(m[2]); minor < goOldest {
		f.Detail += fmt.Sprintf(": older than 1.%d, the first that fetches the version that Pith needs", goOldest)
		return f
	}
	f.OK, f.Fix = true, ""
	return f
}

// goOldest is the first Go (1.x) that changes to a newer toolchain by itself.
const goOldest = 21

var goPattern = regexp.MustCompile(`(go1\.([0-9]+)[0-9a-z.]*)`)

func networkFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "tap"}
	switch {
	case h.OS != "linux":
		f.Detail = "taps and bridges are a part of Linux; the user network works"
	case !exists(h, "dev/net/tun"):
		f.Detail, f.Fix = "there is no /dev/net/tun; the user network works", "sudo modprobe tun"
	case h.Access("/dev/net/tun") != nil:
		f.Detail, f.Fix = "this user may not open /dev/net/tun, which taps and bridges need; the user network works", "sudo chmod 666 /dev/net/tun"
	case !h.Root:
		taps := ownTaps(h)
		if f.OK = len(taps) > 0; f.OK {
			f.Detail = "--net tap:NAME can be used with " + strings.Join(taps, ", ") + "; --net bridge:NAME needs root"
			break
		}
		f.Detail = "--net bridge:NAME needs root, --net tap:NAME a tap of this user's; the user network works"
		f.Fix = "sudo ip tuntap add tap0 mode tap user $USER && sudo ip link set tap0 up"
	default:
		f.OK, f.Detail = true, "--net tap:NAME and --net bridge:NAME can be used"
	}
	return f
}

// ownTaps are the names of this user's taps.
// Source: the kernel's drivers/net/tun.c, attributes owner and tun_flags.
func ownTaps(h host.Host) (names []string) {
	const isTap = 0x2 // IFF_TAP
	owners, _ := fs.Glob(h.Files, "sys/class/net/*/owner")
	for _, file := range owners {
		dir := path.Dir(file)
		owner, err1 := number(h, file)
		flags, err2 := number(h, dir+"/tun_flags")
		if err1 == nil && err2 == nil && owner == int64(h.UID) && flags&isTap != 0 {
			names = append(names, path.Base(dir))
		}
	}
	return names
}

// number reads a file that holds one.
func number(h host.Host, name string) (int64, error) {
	text, err := fs.ReadFile(h.Files, name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 0, 64)
}

func exists(h host.Host, name string) bool {
	_, err := fs.Stat(h.Files, name)
	return err == nil
}
