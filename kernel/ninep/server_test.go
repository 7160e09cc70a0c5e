package ninep

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

var le = binary.LittleEndian

// server offers a folder of the host's. It is written from diod's protocol.md and
// shares no code with the client. Fids name paths, as QEMU's do, and a rename by the
// client takes them along; what is open is a file.
type server struct {
	t     testing.TB
	loose bool // the client may have been told lies: it is not blamed
	root  string
	size  uint32 // of messages

	mu       sync.Mutex
	fids     map[uint32]*fid
	requests map[uint8]int // by type
	forge    func(request, reply []byte) []byte
}

type fid struct {
	path string
	file *os.File
	dir  []fs.DirEntry
}

func newServer(t testing.TB) *server {
	s := &server{t: t, root: t.TempDir(), size: 64 << 10, fids: map[uint32]*fid{}, requests: map[uint8]int{}}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.fids {
			if f.file != nil {
				f.file.Close()
			}
		}
	})
	return s
}

func (s *server) Requests() int    { return 5 }
func (s *server) MessageSize() int { return 128 << 10 }

// errorf says what the client did wrong.
func (s *server) errorf(format string, args ...any) {
	s.t.Helper()
	if !s.loose {
		s.t.Errorf(format, args...)
	}
}

// Exchange implements Transport.
func (s *server) Exchange(slot int, request, reply [][]byte) (int, error) {
	var whole []byte
	for _, p := range request {
		whole = append(whole, p...)
	}
	if int(le.Uint32(whole)) != len(whole) {
		s.errorf("a request of %d bytes says that it has %d", len(whole), le.Uint32(whole))
	}
	answer := s.answer(whole)
	s.mu.Lock()
	forge := s.forge
	s.mu.Unlock()
	if forge != nil {
		answer = forge(whole, answer)
	}
	left := answer
	for _, p := range reply {
		left = left[copy(p, left):]
	}
	return len(answer), nil
}

// setForge has replies changed from now on; nil leaves them as they are.
func (s *server) setForge(forge func(request, reply []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forge = forge
}

// answer makes the whole reply to a request.
func (s *server) answer(request []byte) []byte {
	typ := request[4]
	s.mu.Lock()
	s.requests[typ]++
	s.mu.Unlock()
	r := &args{s: s, b: request[7:]}
	body, err := s.serve(typ, r)
	if len(r.b) > 0 && err == nil {
		s.errorf("%d bytes behind a request of type %d", len(r.b), typ)
	}
	reply := typ + 1
	if err != nil {
		var errno syscall.Errno
		switch e := err.(type) {
		case syscall.Errno:
			errno = e
		case *fs.PathError:
			errno = e.Err.(syscall.Errno)
		case *os.LinkError:
			errno = e.Err.(syscall.Errno)
		case *os.SyscallError:
			errno = e.Err.(syscall.Errno)
		default:
			s.errorf("%T: %v", err, err)
		}
		reply, body = 7, le.AppendUint32(nil, uint32(errno))
	}
	b := le.AppendUint32(nil, uint32(7+len(body)))
	b = append(b, reply, request[5], request[6])
	return append(b, body...)
}

// args is a request's fields.
type args struct {
	s *server
	b []byte
}

func (a *args) take(n int) []byte {
	if n > len(a.b) {
		a.s.errorf("a request ends %d bytes too early", n-len(a.b))
		a.b = make([]byte, n)
	}
	p := a.b[:n]
	a.b = a.b[n:]
	return p
}

func (a *args) u16() uint16  { return le.Uint16(a.take(2)) }
func (a *args) u32() uint32  { return le.Uint32(a.take(4)) }
func (a *args) u64() uint64  { return le.Uint64(a.take(8)) }
func (a *args) text() string { return string(a.take(int(a.u16()))) }

func (s *server) fid(n uint32) *fid {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fids[n]
	if f == nil {
		s.errorf("fid %d is unknown", n)
		return &fid{path: "/nowhere"}
	}
	return f
}

func (s *server) learn(n uint32, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fids[n] != nil {
		s.errorf("fid %d is in use", n)
	}
	s.fids[n] = &fid{path: path}
}

func qidOf(path string) ([]byte, *syscall.Stat_t, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	typ := byte(0)
	switch info.Mode().Type() {
	case fs.ModeDir:
		typ = 0x80
	case fs.ModeSymlink:
		typ = 2
	}
	b := le.AppendUint32([]byte{typ}, uint32(st.Mtim.Nsec))
	return le.AppendUint64(b, st.Ino), st, nil
}

func (s *server) serve(typ uint8, r *args) (body []byte, err error) {
	switch typ {
	case 100: // version
		size := min(r.u32(), s.size)
		if v := r.text(); v != "9P2000.L" {
			s.errorf("version %q", v)
		}
		return append(le.AppendUint16(le.AppendUint32(nil, size), 8), "9P2000.L"...), nil
	case 104: // attach
		n, _, _, _, _ := r.u32(), r.u32(), r.text(), r.text(), r.u32()
		s.learn(n, s.root)
		body, _, err = qidOf(s.root)
		return body, err
	case 110: // walk
		return s.walk(r)
	case 120: // clunk
		s.mu.Lock()
		defer s.mu.Unlock()
		n := r.u32()
		f := s.fids[n]
		if f == nil {
			s.errorf("fid %d is unknown", n)
			return nil, syscall.EBADF
		}
		delete(s.fids, n)
		if f.file != nil {
			f.file.Close()
		}
		return nil, nil
	case 8: // statfs
		var st syscall.Statfs_t
		err := syscall.Statfs(s.fid(r.u32()).path, &st)
		b := le.AppendUint32(le.AppendUint32(nil, uint32(st.Type)), uint32(st.Bsize))
		for _, v := range []uint64{st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree, 7} {
			b = le.AppendUint64(b, v)
		}
		return le.AppendUint32(b, uint32(st.Namelen)), err
	case 24:
		f := s.fid(r.u32())
		r.u64()
		return attributesOf(f.path)
	case 26:
		return nil, s.set(r)
	case 12: // lopen
		f, flags := s.fid(r.u32()), r.u32()
		if f.file != nil {
			s.errorf("opened twice")
		}
		if f.file, err = os.OpenFile(f.path, int(flags), 0); err != nil {
			return nil, err
		}
		body, _, err = qidOf(f.path)
		return append(body, 0, 0, 0, 0), err
	case 14: // lcreate
		f, name, flags, mode, _ := s.fid(r.u32()), r.text(), r.u32(), r.u32(), r.u32()
		path := filepath.Join(f.path, name)
		file, err := os.OpenFile(path, int(flags), 0o600)
		if err != nil {
			return nil, err
		}
		syscall.Chmod(path, mode)
		f.path, f.file = path, file
		body, _, err = qidOf(path)
		return append(body, 0, 0, 0, 0), err
	case 116: // read
		f, off, n := s.fid(r.u32()), r.u64(), r.u32()
		if n+11 > s.size {
			s.errorf("a read of %d bytes", n)
		}
		b := make([]byte, 4+n)
		if f.file == nil {
			return nil, syscall.EBADF
		}
		got, _ := f.file.ReadAt(b[4:], int64(off))
		le.PutUint32(b, uint32(got))
		return b[:4+got], nil
	case 118: // write
		f, off, n := s.fid(r.u32()), r.u64(), r.u32()
		if n+23 > s.size {
			s.errorf("a write of %d bytes", n)
		}
		p := r.take(int(n))
		if f.file == nil {
			return nil, syscall.EBADF
		}
		got, err := f.file.WriteAt(p, int64(off))
		return le.AppendUint32(nil, uint32(got)), err
	case 40:
		return s.readDir(s.fid(r.u32()), r.u64(), r.u32())
	case 50: // fsync
		f, _ := s.fid(r.u32()), r.u32()
		if f.file == nil {
			return nil, syscall.EBADF
		}
		return nil, f.file.Sync()
	case 22: // readlink
		text, err := os.Readlink(s.fid(r.u32()).path)
		return append(le.AppendUint16(nil, uint16(len(text))), text...), err
	}
	return s.names(typ, r)
}

// names serves what changes names.
func (s *server) names(typ uint8, r *args) ([]byte, error) {
	dir := s.fid(r.u32()).path
	switch typ {
	case 16: // symlink
		name, target, _ := r.text(), r.text(), r.u32()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return nil, err
		}
		body, _, err := qidOf(filepath.Join(dir, name))
		return body, err
	case 18: // mknod
		name, mode, _, _, _ := r.text(), r.u32(), r.u32(), r.u32(), r.u32()
		if err := syscall.Mknod(filepath.Join(dir, name), mode, 0); err != nil {
			return nil, err
		}
		body, _, err := qidOf(filepath.Join(dir, name))
		return body, err
	case 72: // mkdir
		name, mode, _ := r.text(), r.u32(), r.u32()
		if err := os.Mkdir(filepath.Join(dir, name), fs.FileMode(mode)); err != nil {
			return nil, err
		}
		syscall.Chmod(filepath.Join(dir, name), mode)
		body, _, err := qidOf(filepath.Join(dir, name))
		return body, err
	case 70: // link
		from := s.fid(r.u32()).path
		return nil, os.Link(from, filepath.Join(dir, r.text()))
	case 74: // renameat
		name, to, toName := r.text(), s.fid(r.u32()).path, r.text()
		from, into := filepath.Join(dir, name), filepath.Join(to, toName)
		if err := syscall.Rename(from, into); err != nil {
			return nil, err
		}
		s.moved(from, into)
		return nil, nil
	case 76: // unlinkat
		name, flags := r.text(), r.u32()
		if flags&0x200 != 0 {
			return nil, syscall.Rmdir(filepath.Join(dir, name))
		}
		return nil, syscall.Unlink(filepath.Join(dir, name))
	}
	s.errorf("a request of type %d", typ)
	return nil, syscall.EOPNOTSUPP
}

// moved gives fids below from their new paths.
func (s *server) moved(from, into string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fids {
		if f.path == from {
			f.path = into
		} else if rest, ok := cutPrefix(f.path, from+"/"); ok {
			f.path = into + "/" + rest
		}
	}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

func (s *server) walk(r *args) ([]byte, error) {
	f, n, count := s.fid(r.u32()), r.u32(), r.u16()
	path := f.path
	body := le.AppendUint16(nil, count)
	for range count {
		path = filepath.Join(path, r.text())
		q, _, err := qidOf(path)
		if err != nil {
			return nil, err
		}
		body = append(body, q...)
	}
	s.learn(n, path)
	return body, nil
}

func attributesOf(path string) ([]byte, error) {
	q, st, err := qidOf(path)
	if err != nil {
		return nil, err
	}
	b := append(le.AppendUint64(nil, 0x7ff), q...)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, st.Mode), st.Uid), st.Gid)
	for _, v := range []int64{
		int64(st.Nlink), int64(st.Rdev), st.Size, int64(st.Blksize), st.Blocks,
		st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec, 0, 0, 0, 0,
	} {
		b = le.AppendUint64(b, uint64(v))
	}
	return b, nil
}

func (s *server) set(r *args) error {
	path, set, mode, uid, gid, size := s.fid(r.u32()).path, r.u32(), r.u32(), r.u32(), r.u32(), r.u64()
	accessed := time.Unix(int64(r.u64()), int64(r.u64()))
	modified := time.Unix(int64(r.u64()), int64(r.u64()))
	if set&1 != 0 {
		if err := syscall.Chmod(path, mode); err != nil {
			return err
		}
	}
	if set&6 != 0 {
		owner, group := -1, -1
		if set&2 != 0 {
			owner = int(uid)
		}
		if set&4 != 0 {
			group = int(gid)
		}
		if err := os.Lchown(path, owner, group); err != nil {
			return err
		}
	}
	if set&8 != 0 {
		if err := os.Truncate(path, int64(size)); err != nil {
			return err
		}
	}
	if set&0x180 == 0 {
		return nil
	}
	if set&0x80 == 0 {
		accessed = time.Time{}
	}
	if set&0x100 == 0 {
		modified = time.Time{}
	}
	return os.Chtimes(path, accessed, modified)
}

// readDir lists with positions that count entries, the dots first: they are as
// small as can be.
func (s *server) readDir(f *fid, from uint64, room uint32) ([]byte, error) {
	if from == 0 {
		list, err := os.ReadDir(f.path)
		if err != nil {
			return nil, err
		}
		f.dir = list
	}
	names := []string{".", ".."}
	for _, e := range f.dir {
		names = append(names, e.Name())
	}
	b := make([]byte, 4)
	for i := from; i < uint64(len(names)); i++ {
		q, st, err := qidOf(filepath.Join(f.path, names[i]))
		if err != nil {
			continue
		}
		if len(b)-4+13+8+1+2+len(names[i]) > int(room) {
			break
		}
		b = le.AppendUint64(append(b, q...), i+1)
		b = append(b, byte(st.Mode>>12))
		b = append(le.AppendUint16(b, uint16(len(names[i]))), names[i]...)
	}
	le.PutUint32(b, uint32(len(b)-4))
	return b, nil
}
