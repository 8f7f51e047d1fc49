package runstore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/fault"
)

const tempSuffix = ".tmp"

// tempPrefix is how the temporary file of name begins; it is cut so that the
// whole stays below the 255 bytes that file systems allow.
func tempPrefix(name string) string { return "." + name[:min(len(name), 200)] + "." }

// WriteFileAtomic makes data the content of path, with permissions perm (before
// umask) where the file is new or replaced. It writes a temporary file beside
// path, syncs it and renames it, so that path holds the old content or the new,
// whatever happens. After an error no temporary file is left; only a process
// that is killed can leave one. A symbolic link is followed, not replaced.
func WriteFileAtomic(path string, data []byte, perm fs.FileMode) error {
	if err := writeAtomic(path, data, perm); err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

// CheckWritable reports, as misuse, why no file could be written at path: to be
// asked before hours of work whose result goes there. It changes nothing.
func CheckWritable(path string) error {
	target, err := resolveTarget(path)
	if err == nil {
		var f *os.File
		if f, err = createTemp(target, 0o600); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fault.Misuse("cannot write %s: %w; choose another place for it", path, cause(err))
	}
	return nil
}

func writeAtomic(path string, data []byte, perm fs.FileMode) error {
	target, err := resolveTarget(path)
	if err != nil {
		return err
	}
	f, err := createTemp(target, perm)
	if err != nil {
		return err
	}
	if err := fill(f, data); err != nil {
		_ = os.Remove(f.Name()) // the write's own error says more
		return err
	}
	if err := os.Rename(f.Name(), target); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(target))
}

// moveNew renames a file to a name that is free: fs.ErrExist where it is not. On a file
// system that can do neither of the two ways its error is that of the second.
func moveNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(from, to); err != nil { // what NFS has
		return err
	}
	_ = os.Remove(from)
	return nil
}

// fill writes, syncs and closes f. NFS reports a full disk only at sync or close.
func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// resolveTarget follows links and refuses what a rename would destroy, such as
// a device.
func resolveTarget(path string) (string, error) {
	if path == "" {
		return "", errors.New("no file name")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", syscall.EISDIR
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	return filepath.EvalSymlinks(path)
}

// createTemp is os.CreateTemp with permissions that the umask applies to.
func createTemp(target string, perm fs.FileMode) (*os.File, error) {
	dir, name := filepath.Split(target)
	for attempt := 0; ; attempt++ {
		unique := fmt.Sprintf("%s%d-%08x%s", tempPrefix(name), os.Getpid(), rand.Uint32(), tempSuffix)
		f, err := os.OpenFile(filepath.Join(dir, unique), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if errors.Is(err, fs.ErrExist) && attempt < 100 {
			continue
		}
		return f, err
	}
}

// syncDir makes a rename in dir survive a power failure. Some network file
// systems cannot sync a directory and say so: nothing can be done there.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// cause strips the operation and path that os puts before an error, because
// they name a temporary file that nobody knows.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	case errors.As(err, &call):
		return call.Err
	}
	return err
}
