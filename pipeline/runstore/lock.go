package runstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"ulrl/pipeline/fault"
)

// owner is who holds a folder: the content of run.lock. A name that is
// given to one file alone is the one lock that NFS, Lustre and local disks share.
type owner struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Born tells a process from a later one with the same number; empty where
	// the system does not say.
	Born string `json:"born,omitempty"`
	// Space is the PID namespace: containers can share a host name and yet not
	// see each other's processes.
	Space string `json:"space,omitempty"`
	Since string `json:"since"`
	Token string `json:"token"` // tells two runs of one process apart
}

// sees tells whether a process can look at another: on the same machine, in the same PID namespace.
func (o owner) sees(other owner) bool { return o.Host == other.Host && o.Space == other.Space }

func newOwner() (owner, error) {
	host, err := os.Hostname()
	if err != nil {
		return owner{}, fmt.Errorf("find this machine's name for %s: %w", FileLock, err)
	}
	_, born := processState(os.Getpid())
	space, _ := os.Readlink("/proc/self/ns/pid") // empty where there are none
	return owner{
		Host: host, PID: os.Getpid(), Born: born, Space: space,
		Since: time.Now().Format(time.RFC3339),
		Token: strconv.FormatUint(rand.Uint64(), 16),
	}, nil
}

// lock takes dir for this process or says who holds it.
func lock(dir string) (owner, error) {
	me, err := newOwner()
	if err != nil {
		return owner{}, err
	}
	path := filepath.Join(dir, FileLock)
	err = createLock(path, me)
	if errors.Is(err, fs.ErrExist) {
		awaitExit(path, me)
		err = takeOver(path, me)
	}
	if err != nil {
		return owner{}, err
	}
	// Of a process that was killed between the two locks.
	if holder, readErr := readLock(path + takeover); readErr == nil && stale(holder, me) {
		_ = discard(path+takeover, holder)
	}
	return me, nil
}

// LockDir takes a directory, which need not be a run's, for this process, until
// the function that it gives is called.
func LockDir(dir string) (unlockDir func(), err error) {
	me, err := lock(dir)
	if err != nil {
		return nil, err
	}
	return func() { _ = unlock(dir, me) }, nil
}

// LockHere is LockDir, but respects only processes of this machine, which are known to be alive.
func LockHere(dir string) (unlockDir func(), err error) {
	unlockDir, err = LockDir(dir)
	if err == nil {
		return unlockDir, nil
	}
	holder, readErr := readLock(filepath.Join(dir, FileLock))
	me, meErr := newOwner()
	if readErr == nil && meErr == nil && holder.sees(me) && !stale(holder, me) {
		return nil, err
	}
	return func() {}, nil
}

// Held tells whether a process holds a directory, as far as this one can know:
// one on another machine counts as alive.
func Held(dir string) bool {
	holder, err := readLock(filepath.Join(dir, FileLock))
	if err != nil {
		return false
	}
	me, err := newOwner()
	return err != nil || !stale(holder, me)
}

// createLock fails with fs.ErrExist where the lock is held. The lock appears with its
// content: a process that is killed at any moment leaves one that says whose it was,
// or none.
func createLock(path string, me owner) error {
	data, err := json.Marshal(me)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	f, err := createTemp(path, 0o644)
	if err != nil {
		return dirError("write to", filepath.Dir(path), err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := fill(f, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	err = moveNew(f.Name(), path)
	switch {
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist): // who holds the lock has cleared our file away
		// NFS says so of what it has done, too, where its answer was lost.
		if holder, readErr := readLock(path); readErr == nil && holder.Token == me.Token {
			return nil
		}
		return fs.ErrExist
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EINVAL):
		return createInPlace(path, append(data, '\n')) // this file system cannot
	case err != nil:
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

// createInPlace is createLock in two steps.
func createInPlace(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fs.ErrExist
	}
	if err != nil {
		return dirError("write to", filepath.Dir(path), err)
	}
	if err := fill(f, data); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

// takeover is what the name of a lock that guards a lock's taking over ends with.
const takeover = ".takeover"

// takeOver replaces a lock whose process is gone. The second lock makes it one
// at a time: otherwise two could judge the same lock stale, and the slower
// remove what the faster has just taken.
func takeOver(path string, me owner) error {
	if holder, err := readLock(path); err == nil && !stale(holder, me) {
		return inUse(path, holder)
	}
	guard := path + takeover
	err := createLock(guard, me)
	if errors.Is(err, fs.ErrExist) {
		if holder, readErr := readLock(guard); readErr == nil && stale(holder, me) {
			if err := discard(guard, holder); err != nil {
				return err
			}
			err = createLock(guard, me)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.Misuse("folder %s is being taken over by another process; try again, or delete %s if no run is under way",
			filepath.Dir(path), guard)
	}
	if err != nil {
		return err
	}
	defer func() { _ = release(guard, me) }()

	holder, err := readLock(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // released meanwhile
	case err != nil:
		return unnamed(path)
	case !stale(holder, me):
		return inUse(path, holder)
	default:
		if err := discard(path, holder); err != nil {
			return err
		}
	}
	err = createLock(path, me)
	if errors.Is(err, fs.ErrExist) {
		if holder, readErr := readLock(path); readErr == nil {
			return inUse(path, holder)
		}
		return fault.Misuse("folder %s has just been taken by another process; choose another", filepath.Dir(path))
	}
	return err
}

// discard removes a lock that is still its gone holder's: what another process has
// taken meanwhile is given back.
func discard(path string, holder owner) error {
	aside := fmt.Sprintf("%s%d-%08x%s", tempPrefix(FileLock), os.Getpid(), rand.Uint32(), tempSuffix)
	aside = filepath.Join(filepath.Dir(path), aside)
	if err := os.Rename(path, aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return dirError("write to", filepath.Dir(path), err)
	}
	got, err := readLock(aside)
	if err == nil && got.Token == holder.Token {
		_ = os.Remove(aside)
		return nil
	}
	if moveErr := moveNew(aside, path); moveErr != nil && !errors.Is(moveErr, fs.ErrExist) {
		_ = os.Rename(aside, path) // this file system cannot
	}
	if err != nil {
		return unnamed(path)
	}
	return inUse(path, got)
}

// unnamed is a lock that cannot be judged.
func unnamed(path string) error {
	return fault.Misuse("folder %s is locked by %s, which does not say by whom; delete it if no run is under way",
		filepath.Dir(path), path)
}

func inUse(path string, holder owner) error {
	return fault.Misuse("folder %s is in use by process %d on host %q since %s; wait for it or choose another (if that process is gone, delete %s)",
		filepath.Dir(path), holder.PID, holder.Host, holder.Since, path)
}

func readLock(path string) (owner, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return owner{}, err
	}
	var o owner
	if err := json.Unmarshal(data, &o); err != nil {
		return owner{}, fmt.Errorf("%s: %w", path, err)
	}
	if o.Host == "" || o.PID <= 0 {
		return owner{}, fmt.Errorf("%s names no process", path)
	}
	return o, nil
}

// unlock gives a directory back.
func unlock(dir string, mine owner) error { return release(filepath.Join(dir, FileLock), mine) }

// release removes a lock if it is still mine.
func release(path string, mine owner) error {
	holder, err := readLock(path)
	if err != nil || holder.Token != mine.Token {
		return nil // somebody cleared it away: not ours to touch
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, cause(err))
	}
	return nil
}

// stale is true only where this process can know that the holder is gone: on
// the same machine, in the same PID namespace.
func stale(holder, me owner) bool {
	if !holder.sees(me) {
		return false
	}
	if errors.Is(syscall.Kill(holder.PID, 0), syscall.ESRCH) {
		return true
	}
	state, born := processState(holder.PID)
	if state == "Z" || state == "X" {
		return true
	}
	return holder.Born != "" && born != "" && holder.Born != born
}

// awaitExit waits, for some seconds at most, for a holder that was killed to be gone:
// one with much memory takes a moment, as does one that finds no free core to end on.
func awaitExit(path string, me owner) {
	for range 500 {
		holder, err := readLock(path)
		if err != nil || !holder.sees(me) {
			return
		}
		fields := processFields(holder.PID)
		status, err := os.ReadFile("/proc/" + strconv.Itoa(holder.PID) + "/status")
		if err != nil || len(fields) == 0 || fields[0] == "Z" || !ending(fields, string(status)) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
