package runstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"ulrl/pipeline/fault"
)

// Options of Create.
type Options struct {
	// Force starts a finished run anew. It overrides no lock and takes no
	// directory that is not a run's.
	Force bool
}

// Run is a run directory that this process holds. Its methods are safe for
// concurrent use.
type Run struct {
	dir string

	mu         sync.Mutex
	lock       owner
	closed     bool
	events     *os.File // nil until the first event
	eventsSize int64
	sums       map[string]string // SHA-256 of the files that were written
}

// Create makes dir (parents too) or takes one that holds an unfinished run, of
// which it removes the files that it knows by name; a finished run is refused
// unless forced. The new result.json says "running" until Finish.
func Create(dir string, opts Options) (*Run, error) {
	if dir == "" {
		return nil, fault.Misuse("no run directory named; name one")
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, dirError("make", dir, err)
	}
	// Looked at before the lock, which must not be put into a foreign
	// directory, and again with it, when nobody else can change it.
	if err := admit(dir, opts.Force); err != nil {
		return nil, err
	}
	lock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, sums: map[string]string{}}
	if err := r.begin(opts.Force); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) begin(force bool) error {
	if err := admit(r.dir, force); err != nil {
		return err
	}
	// First, so that a finished result never stands beside half of its files.
	started := &Result{Status: StatusRunning, Started: time.Now().Format(time.RFC3339)}
	if err := r.WriteJSON(FileResult, started); err != nil {
		return err
	}
	names := leftovers()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return dirError("read", r.dir, err)
	}
	for _, entry := range entries {
		if isLeftoverTemp(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	for _, name := range names {
		if err := os.Remove(r.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s of the run before: %w", r.Path(name), cause(err))
		}
	}
	return nil
}

// Path is where the file called name is, or would be.
func (r *Run) Path(name string) string { return filepath.Join(r.dir, name) }

// WriteFile makes data the content of the file called name, whole or not at
// all; see WriteFileAtomic.
func (r *Run) WriteFile(name string, data []byte) error {
	if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) || name == "." || name == FileLock {
		return fmt.Errorf("write %q: not a name for a file in run directory %s", name, r.dir)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return err
	}
	if err := WriteFileAtomic(r.Path(name), data, 0o644); err != nil {
		return err
	}
	r.sums[name] = SumOf(data)
	return nil
}

// WriteJSON is WriteFile of v, which is an object, as indented JSON with a checksum.
func (r *Run) WriteJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", r.Path(name), err)
	}
	return r.WriteFile(name, Seal(data))
}

// written are the sums of all files but the result itself and the page, which is made of
// it and may be made anew; nil where there are none.
func (r *Run) written() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := maps.Clone(r.sums)
	delete(sums, FileResult)
	delete(sums, FileReport)
	if sum, err := SumFile(r.Path(FileEvents)); err == nil {
		sums[FileEvents] = sum
	}
	if len(sums) == 0 {
		return nil
	}
	return sums
}

// Finish writes result.json with the status (complete, interrupted or failed),
// which it also sets in result, and releases the directory. Other files are to be
// written before: a result that says "complete" vouches for them.
func (r *Run) Finish(status string, result *Result) error {
	switch status {
	case StatusComplete, StatusInterrupted, StatusFailed:
	default:
		return fmt.Errorf("finish run %s: unknown status %q", r.dir, status)
	}
	if result == nil {
		result = &Result{}
	}
	result.Status = status
	err := r.syncEvents()
	result.Sums = r.written()
	if err == nil {
		err = r.WriteJSON(FileResult, result)
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Close releases the directory; what was written stays. Further calls do
// nothing.
func (r *Run) Close() error {
	err := r.syncEvents()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.events != nil {
		if closeErr := r.events.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("write %s: %w", r.Path(FileEvents), cause(closeErr))
		}
	}
	if lockErr := unlock(r.dir, r.lock); err == nil {
		err = lockErr
	}
	return err
}

func (r *Run) syncEvents() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.events == nil {
		return nil
	}
	if err := r.events.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", r.Path(FileEvents), cause(err))
	}
	return nil
}

// open fails once the directory may belong to another process.
func (r *Run) open() error {
	if r.closed {
		return fmt.Errorf("run %s is closed: nothing more can be written", r.dir)
	}
	return nil
}

// ReadResult reads the result.json of run directory dir.
func ReadResult(dir string) (*Result, error) {
	path := filepath.Join(dir, FileResult)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Misuse("%s holds no %s: name a run directory: %w", dir, FileResult, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fault.Misuse("read %s: %w", path, cause(err))
	}
	if err := CheckSeal(data); err != nil {
		return nil, fault.Misuse("read %s: not the result of a run: %w", path, err)
	}
	var result Result
	if err := json.Unmarshal(data, &result); err != nil {
		return nil, fault.Misuse("read %s: not the result of a run: %w", path, err)
	}
	switch result.Status {
	case StatusRunning, StatusComplete, StatusInterrupted, StatusFailed:
		return &result, nil
	}
	return nil, fault.Misuse("read %s: not the result of a run: unknown status %q", path, result.Status)
}

// Disown makes a finished run in dir a failed one, without the file called name, which was
// found to be not what the run says.
func Disown(dir, name string, why error) error {
	unlockDir, err := LockDir(dir)
	if err != nil {
		return err
	}
	defer unlockDir()
	result, err := ReadResult(dir)
	if err != nil {
		return err
	}
	result.Status, result.Error = StatusFailed, why.Error()
	delete(result.Sums, name)
	maps.DeleteFunc(result.Files, func(_, file string) bool { return file == name })
	if err := WriteSealed(filepath.Join(dir, FileResult), result); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Join(dir, name), cause(err))
	}
	return nil
}

// admit says whether a run may begin in dir.
func admit(dir string, force bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return dirError("read", dir, err)
	}
	has := map[string]bool{}
	for _, entry := range entries {
		// .nfs is a deleted file that is still open somewhere.
		if !strings.HasPrefix(entry.Name(), ".nfs") && !isLeftoverTemp(entry.Name()) {
			has[entry.Name()] = true
		}
	}
	if len(has) == 0 {
		return nil
	}
	ours := has[FileEvents] || has[FileLock] || has[FileLock+takeover]
	if has[FileResult] {
		result, err := ReadResult(dir)
		switch {
		case err == nil && result.Status == StatusComplete && !force:
			return fault.Misuse("run directory %s holds a finished run; choose another directory, or run it again with --force", dir)
		case err == nil:
			return nil
		case ours && !force:
			return fault.Misuse("run directory %s holds a run that cannot be judged: %w; choose another directory, or run it again with --force", dir, err)
		}
	}
	if !ours {
		return fault.Misuse("%s is neither empty nor a run directory; choose another directory", dir)
	}
	return nil
}

// dirError is for the run directory itself: misuse where another directory
// would do.
func dirError(doing, dir string, err error) error {
	why := cause(err)
	for _, mendable := range []error{fs.ErrPermission, fs.ErrNotExist, fs.ErrExist, syscall.EROFS, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL} {
		if errors.Is(why, mendable) {
			return fault.Misuse("cannot %s run directory %s: %w; choose another directory", doing, dir, why)
		}
	}
	return fmt.Errorf("%s run directory %s: %w", doing, dir, why)
}
