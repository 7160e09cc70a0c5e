package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pith"
	"pith/deploy"
	"pith/image"
	"pith/machine"
	"pith/machine/host"
	"pith/machine/qemu"
	"pith/machine/volume"
	"pith/network"
)

// runFlags are the flags that describe a machine.
type runFlags struct {
	build   buildFlags
	ports   []string
	env     []string
	memory  string
	cpus    int
	name    string
	remove  bool
	kind    string
	board   string
	network networkFlags
	forward bool
	files   []string
	dir     string
	volumes []string
	trace   bool
	capture string
	set     *pflag.FlagSet // which of them were given
	paused  bool           // not a flag: pith debug sets it
	window  machine.Window // the terminal, zero where there is none
	input   io.Reader      // the program's; nil is an empty one
	test    bool           // WHAT is a Go test binary
}

func (f *runFlags) add(flags *pflag.FlagSet) {
	f.build.add(flags)
	f.set = flags
	flags.StringArrayVarP(&f.ports, "publish", "p", nil, "publish a port: [ADDRESS:]HOST:GUEST[/udp], on 127.0.0.1 by default")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "set an environment variable: KEY=VALUE, or KEY to pass this shell's on")
	flags.StringVarP(&f.memory, "memory", "m", "", "memory in MiB, or with a unit as in 64M or 1G (default 256)")
	flags.IntVar(&f.cpus, "cpus", 1, "number of CPUs")
	flags.StringVar(&f.name, "name", "", "the machine's name (default: one is made up)")
	flags.BoolVar(&f.remove, "rm", false, "forget the machine when it has ended")
	flags.StringVar(&f.kind, "machine", "", "the machine's kind: "+strings.Join(machine.Kinds, ", ")+" (default unikernel)")
	flags.StringVar(&f.board, "machine-type", machine.TypeMicroVM, "the board: "+machine.TypeMicroVM+" or "+machine.TypeQ35)
	f.network.add(flags)
	flags.BoolVar(&f.forward, "forward", false, "the program forwards packets (a router, a firewall): its cards are its own")
	flags.StringArrayVar(&f.files, "file", nil, "give the machine a copy of a file or folder: SOURCE:TARGET")
	flags.StringArrayVarP(&f.volumes, "volume", "v", nil, "mount a persistent volume, made if there is none, or a folder of the host: NAME:/FOLDER[:ro] or ./FOLDER:/FOLDER[:ro]")
	flags.StringVarP(&f.dir, "workdir", "w", "", "the program's working directory (default /)")
	flags.StringVar(&f.capture, "pcap", "", "write the network's packets to a file that tcpdump and Wireshark read")
	flags.BoolVar(&f.trace, "trace", false, "the boot prints numbered stamps and the memory map")
}

func (a *app) runCommand() *cobra.Command {
	var flags runFlags
	var detach bool
	c := &cobra.Command{
		Use:   "run [flags] WHAT [-- ARGS]",
		Short: "Run a Go program or an image as a machine",
		Long: `Run builds WHAT if needed and starts it as a machine. In the foreground the
program's input and output are pith's own, Ctrl-C asks it to end (SIGTERM) and a second one
kills it, and its exit code is pith's. What stands behind -- are the program's
arguments.

The machine's kind is one word; the program and all other flags stay as they are:
unikernel (Pith's kernel in QEMU), process (confined, on this host's kernel),
container (by runc) or linuxvm (a Linux kernel in QEMU).`,
		Example: `  pith run -p 8080:80 ./examples/hello
  pith run -p 5353:53/udp -e UPSTREAM=9.9.9.9 -m 64 --cpus 2 ./cmd/dns -- -verbose
  pith run -d --name web -p 0.0.0.0:8080:80 web.img
  pith run --machine container -p 8080:80 ./examples/hello
  pith run -v data:/var/lib/data ./cmd/store
  pith run --net bridge:br0 --addr 192.168.1.5/24 --gateway 192.168.1.1 web.img
  pith run --net tap:out,addr=192.168.1.5/24,gateway=192.168.1.1 \
           --net tap:in,addr=10.0.0.1/24,route=10.1.0.0/16@10.0.0.9 router.img`,
		Args: oneWhat,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.takeTerminal(c, &flags, detach); err != nil {
				return err
			}
			flags.test = image.IsTest(args[0])
			if flags.test && detach {
				return pith.Errorf("%s is a test, which runs in the foreground: leave -d out", args[0])
			}
			entry, err := a.create(c.Context(), args, flags)
			if err != nil {
				return err
			}
			if flags.test {
				defer os.RemoveAll(filepath.Dir(entry.Spec.Image.Path))
			}
			if detach {
				return a.detach(entry)
			}
			return a.foreground(entry, flags)
		},
	}
	flags.add(c.Flags())
	c.Flags().BoolVarP(&detach, "detach", "d", false, "run in the background and print the machine's name")
	c.Flags().BoolP("interactive", "i", true, "pass standard input to the program; -i=false gives it an empty one")
	c.Flags().BoolP("tty", "t", false, "insist that the program has a terminal; it has one by itself where pith has one, but for -t=false")
	c.SetFlagErrorFunc(ownFlag)
	return c
}

// takeTerminal settles what of the terminal and of standard input the program gets,
// by flags -i and -t as Docker has them; without them it gets what pith has.
func (a *app) takeTerminal(c *cobra.Command, f *runFlags, detach bool) error {
	interactive, _ := c.Flags().GetBool("interactive")
	tty, _ := c.Flags().GetBool("tty")
	asked := c.Flags().Changed("tty")
	switch {
	case detach && (asked && tty || c.Flags().Changed("interactive") && interactive):
		return pith.Errorf("a machine in the background has neither terminal nor input: leave out -d, or -i and -t")
	case detach:
		return nil
	}
	if interactive {
		f.input = os.Stdin
	}
	if !asked || tty {
		f.window = a.window()
	}
	switch {
	case asked && tty && f.window == (machine.Window{}):
		return pith.Errorf("-t wants a terminal, but standard input and output are not both one: leave out -t")
	case !interactive:
		f.window = machine.Window{}
	}
	return nil
}

// ownFlag explains a flag that is probably meant for the program.
func ownFlag(_ *cobra.Command, err error) error {
	return pith.Errorf("%w (put -- before the program's own arguments)", err)
}

// oneWhat wants WHAT, and "--" before anything else.
func oneWhat(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return pith.Errorf("say what to run: a directory, a package path, module@version, or an image file")
	}
	if len(args) > 1 && c.ArgsLenAtDash() != 1 {
		return pith.Errorf("put -- before the program's own arguments: pith %s %s -- %s", c.Name(), args[0], args[1])
	}
	return nil
}

// create makes the machine's image and its entry in the store; everything that
// can be refused is refused before.
func (a *app) create(ctx context.Context, args []string, f runFlags) (_ *machine.Entry, err error) {
	store, err := openStore()
	if err != nil {
		return nil, err
	}
	h := host.This()
	settle(store, h)
	if f.kind, err = a.chooseKind(f, h); err != nil {
		return nil, err
	}
	spec, err := f.spec(args)
	if err != nil {
		return nil, err
	}
	m, err := f.build.find(args[0])
	if err != nil {
		return nil, err
	}
	if m != nil {
		if err := f.obey(&spec, &m.Services[0]); err != nil {
			return nil, err
		}
	}
	if err := driverOf(spec.Kind, h).Check(spec); err != nil {
		return nil, err
	}
	if err := checkNetworks(spec); err != nil {
		return nil, err
	}
	if spec.Ports, err = machine.FreePorts(spec.Ports); err != nil {
		return nil, err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	switch {
	case f.test:
		spec.Image, err = a.testImage(ctx, args[0], spec.Args, f.build)
	case machine.Hosted(spec.Kind):
		spec.Image, err = a.resolveHosted(ctx, args[0], f.build)
	default:
		spec.Image, err = a.resolve(ctx, args[0], f.build)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && f.test {
			os.RemoveAll(filepath.Dir(spec.Image.Path))
		}
	}()
	if err := f.settle(&spec); err != nil {
		return nil, err
	}
	if f.memory == "" {
		files, err := machine.FilesSize(spec.Files)
		if err != nil {
			return nil, err
		}
		spec.Memory = max(spec.Memory, spec.Image.Manifest.Memory+2*files)
	}
	if spec.Image.Path, err = filepath.Abs(spec.Image.Path); err != nil {
		return nil, err
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	return createNamed(store, spec, f.name == "")
}

// createNamed makes up another name while the made-up one is taken.
func createNamed(store *machine.Store, spec machine.Spec, anyName bool) (*machine.Entry, error) {
	const tries = 20
	for try := 0; ; try++ {
		e, err := store.Create(spec)
		if err == nil || !anyName || try == tries {
			return e, err
		}
		spec.Name = machine.NewName()
	}
}

// spec reads all flags; the image is still missing.
func (f *runFlags) spec(args []string) (machine.Spec, error) {
	s := machine.Spec{
		Kind:    f.kind,
		What:    args[0],
		Type:    f.board,
		Trace:   f.trace,
		Remove:  f.remove,
		Paused:  f.paused,
		Created: time.Now(),
	}
	s.Name, s.CPUs, s.Memory, s.Dir, s.Forward = f.name, f.cpus, machine.DefaultMemory, f.dir, f.forward
	if len(args) > 1 {
		s.Args = args[1:]
	}
	if s.Name == "" {
		s.Name = machine.NewName()
	}
	var err error
	if f.test {
		if err := asTest(&s); err != nil {
			return s, err
		}
		s.Memory = testMemory
	}
	if f.memory != "" {
		if s.Memory, err = machine.ParseMemory(f.memory); err != nil {
			return s, err
		}
	}
	for _, text := range f.ports {
		port, err := machine.ParsePort(text)
		if err != nil {
			return s, err
		}
		s.Ports = append(s.Ports, port)
	}
	for _, text := range f.files {
		file, err := machine.ParseFile(text)
		if err != nil {
			return s, err
		}
		s.Files = append(s.Files, file)
	}
	if f.capture != "" {
		if s.Capture, err = captureFile(f.capture); err != nil {
			return s, err
		}
	}
	for _, text := range f.volumes {
		v, err := volume.Parse(text)
		if err != nil {
			return s, err
		}
		if err := volume.CheckFolder(v); err != nil {
			return s, err
		}
		s.Mounts = append(s.Mounts, v)
	}
	if f.window != (machine.Window{}) {
		s.Env = terminalEnv()
	}
	for _, text := range f.env {
		s.Env = append(s.Env, passEnv(text))
	}
	if s.Links, err = f.network.links(s); err != nil {
		return s, err
	}
	for _, l := range s.Links {
		if s.Capture != "" && l.Queues > 1 {
			return s, pith.Errorf("--pcap takes the packets of one queue pair: leave queues=%d out", l.Queues)
		}
	}
	return s, s.Check()
}

// passEnv gives KEY without a value this process's own value, as Docker does.
func passEnv(text string) string {
	if value, ok := os.LookupEnv(text); ok && text != "" {
		return text + "=" + value
	}
	return text
}

// plug joins each of a machine's cards to its network. Call done when the
// machine has started or failed to.
func plug(s machine.Spec) (cards []machine.Card, done func(), err error) {
	var open []network.Attachment
	done = func() {
		for _, a := range open {
			a.Close()
		}
	}
	for i, link := range s.Links {
		mode, err := modeOf(s, link)
		if err != nil {
			done()
			return nil, nil, err
		}
		if mode.Kind == network.Bridge && interfaces(s.Kind) {
			cards = append(cards, machine.Card{Link: link, Wire: machine.Wire{Bridge: mode.Name}})
			continue
		}
		a, err := network.AttachQueues(mode, queues(s, link))
		if err != nil {
			done()
			return nil, nil, err
		}
		open = append(open, a)
		if got := 1 + len(a.Queues); got < link.Queues {
			done()
			return nil, nil, pith.Errorf("%s was made for one queue, and queues=%d are wanted; as root: ip tuntap add NAME mode tap multi_queue user $USER", mode, link.Queues)
		}
		wire := machine.Wire{User: a.User, Tap: a.Tap, Queues: a.Queues}
		if i == 0 {
			wire.Ports = s.Ports
		}
		cards = append(cards, machine.Card{Link: link, Wire: wire})
	}
	return cards, done, nil
}

// checkNetworks refuses networks that this host hasn't got, before anything is built.
func checkNetworks(s machine.Spec) error {
	for _, link := range s.Links {
		mode, err := network.ParseMode(link.Network)
		if err != nil {
			return err
		}
		if mode.Kind == network.Bridge && interfaces(s.Kind) {
			continue // its driver joins it
		}
		if err := network.Check(mode); err != nil {
			return err
		}
	}
	return nil
}

// queues is how many queue pairs a card is to have.
func queues(s machine.Spec, l pith.Link) int {
	switch {
	case machine.Hosted(s.Kind), s.Capture != "": // QEMU writes the packets of one queue only into a file
		return 1
	case l.Queues > 0:
		return l.Queues
	default:
		return qemu.QueuePairs(host.This(), s.CPUs)
	}
}

// modeOf is how a card is joined to its network.
func modeOf(s machine.Spec, l pith.Link) (network.Mode, error) {
	name, ok := deploy.LabNetwork(l)
	if !ok {
		return network.ParseMode(l.Network)
	}
	lab := network.FindLab(s.Deployment)
	if lab == nil {
		return network.Mode{}, fmt.Errorf("the networks of deployment %s are gone", s.Deployment)
	}
	bridge, err := lab.Bridge(name)
	return network.Mode{Kind: network.Bridge, Name: bridge}, err
}

// foreground supervises the machine in this process.
func (a *app) foreground(entry *machine.Entry, f runFlags) error {
	window := f.window
	if err := a.holdImage(entry.Spec.Image); err != nil {
		return errors.Join(err, entry.Discard())
	}
	cards, unplug, err := plug(entry.Spec)
	if err != nil {
		entry.Discard()
		return err
	}
	disks, unlock, err := openVolumes(entry)
	if err != nil {
		unplug()
		entry.Discard()
		return err
	}
	defer unlock()
	s := &machine.Supervisor{
		Entry:   entry,
		Driver:  driverOf(entry.Spec.Kind, host.This()),
		Cards:   cards,
		Disks:   disks,
		Output:  a.out,
		Input:   f.input,
		Window:  window,
		Started: unplug,
		Ready: func(p pith.Port) {
			fmt.Fprintf(a.err, "%s: %s\n", a.err.bold(entry.Spec.Name), machine.URL(p))
		},
	}
	stop := a.forwardSignals(s)
	defer stop()
	if window != (machine.Window{}) {
		defer a.followWindow(s)()
		t := &ownTerminal{fd: int(os.Stdin.Fd())}
		defer t.restore()
		s.SetTerminal = t.set
	}
	exit, err := s.Run()
	unplug()
	switch {
	case err != nil:
		return err
	case exit.Err != nil:
		fmt.Fprintf(a.err, "%s %v\n", a.err.red("pith:"), exit.Err)
	}
	return exitCode(exit.Code)
}

// forwardSignals asks the program to end at the first Ctrl-C (or SIGTERM, or
// when the terminal goes away), and kills the machine at the second.
func (a *app) forwardSignals(s *machine.Supervisor) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	done := make(chan struct{})
	go func() {
		for count := 0; ; count++ {
			select {
			case <-done:
				return
			case number := <-signals:
				if number == syscall.SIGQUIT { // a Go program tells where it is
					s.Signal(int(syscall.SIGQUIT))
					continue
				}
			}
			if count > 0 {
				s.Kill()
				continue
			}
			if a.err.person {
				fmt.Fprintln(a.err, "\nasked the program to end; Ctrl-C again kills it")
			}
			s.Signal(int(syscall.SIGTERM))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func openStore() (*machine.Store, error) {
	dir, err := machine.DefaultDir(os.Getenv)
	if err != nil {
		return nil, err
	}
	return machine.OpenStore(dir), nil
}
