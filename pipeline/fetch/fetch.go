package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
)

// Options say how a set is fetched.
type Options struct {
	// Dir is the folder in which the set gets its own.
	Dir string
	// From replaces the set's base: a URL, or a folder that holds the files. "": as
	// the set says.
	From string
	// Progress is told of each file's MiB; nil: nobody is.
	Progress progress.Sink
	// Tries is how often a transfer is taken up again that breaks off; 0 means 5.
	Tries int
	// Pause is how long it is waited before that, times the number of the try.
	Pause time.Duration
	// Stall is how long a transfer may bring nothing; 0 means a minute.
	Stall time.Duration
	// Client is nil for one of its own.
	Client *http.Client
}

// Result is what Fetch did.
type Result struct {
	Set       string `json:"set"`
	Directory string `json:"directory"`
	// Already says that the set was there.
	Already bool `json:"already"`
	// Bytes came over the network or out of another folder in this call.
	Bytes int64 `json:"bytes"`
}

// Fetch brings a set to o.Dir/<name>, which appears whole or not at all. What came
// of a file before an error or an interrupt stays in o.Dir, and the next call goes
// on there.
func Fetch(ctx context.Context, set Set, o Options) (*Result, error) {
	o = o.filled()
	result := &Result{Set: set.Name, Directory: filepath.Join(o.Dir, set.Name)}
	switch _, err := os.Stat(filepath.Join(result.Directory, filepath.FromSlash(set.Proof))); {
	case err == nil:
		result.Already = true
		return result, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fault.Misuse("look for %s: %w", set.Name, err)
	}
	if entries, err := os.ReadDir(result.Directory); err == nil && len(entries) > 0 {
		return nil, fault.Misuse("%s is there and is not %s as it is given out: choose another --dir, or move it away", result.Directory, set.Name)
	}
	if info, err := os.Stat(o.From); isLocal(o.From) && (err != nil || !info.IsDir()) {
		return nil, fault.Misuse("%s is neither an http or https URL nor a folder that holds the archives", o.From)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fault.Misuse("folder for data sets: %w", err)
	}
	staging, err := os.MkdirTemp(o.Dir, "."+set.Name+"-")
	if err != nil {
		return nil, fault.Misuse("folder for data sets: %w", err)
	}
	defer func() { _ = os.RemoveAll(staging) }() // nothing is there once it was renamed
	used, err := fill(ctx, set, o, staging, result)
	if err != nil {
		return nil, err
	}
	if err := place(staging, result.Directory); err != nil {
		return nil, fmt.Errorf("put %s in its place: %w", set.Name, err)
	}
	for _, path := range used {
		_ = os.Remove(path) // what is left of it harms nobody
	}
	return result, nil
}

func (o Options) filled() Options {
	if o.Progress == nil {
		o.Progress = progress.None{}
	}
	if o.Tries == 0 {
		o.Tries = 5
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.Client == nil {
		o.Client = &http.Client{}
	}
	return o
}

// fill fetches and unpacks the set's files into staging. used are the fetched
// files, of no more use once the set is in place.
func fill(ctx context.Context, set Set, o Options, staging string, result *Result) (used []string, err error) {
	root, err := os.OpenRoot(staging)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	left := set.Most
	for _, file := range set.Files {
		path, err := obtain(ctx, set, file, o, result)
		if err != nil {
			return nil, err
		}
		if !isLocal(o.From) {
			used = append(used, path)
		}
		if err := unpack(ctx, o.Progress, path, file.Name, root, &left); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// obtain gives a file of the set, its sum checked: out of a folder, of an earlier
// call, or over the network.
func obtain(ctx context.Context, set Set, file File, o Options, result *Result) (string, error) {
	if isLocal(o.From) {
		path := filepath.Join(o.From, file.Name)
		info, err := os.Stat(path)
		if err != nil {
			return "", fault.Misuse("fetch %s: %w", set.Name, err)
		}
		result.Bytes += info.Size()
		return path, verify(ctx, o.Progress, path, file)
	}
	path := filepath.Join(o.Dir, file.Name)
	if _, err := os.Stat(path); err == nil {
		if err := verify(ctx, o.Progress, path, file); err == nil || ctx.Err() != nil {
			return path, err
		}
	}
	base := set.Base
	if o.From != "" {
		base = o.From
	}
	d := download{url: strings.TrimSuffix(base, "/") + "/" + file.Name, part: path + ".part", set: set.Name, most: set.Most, o: o}
	if err := d.open(); err != nil {
		return "", err
	}
	defer d.close()
	if err := d.run(ctx); err != nil {
		return "", err
	}
	result.Bytes += d.got
	if err := verify(ctx, o.Progress, d.part, file); err != nil {
		if ctx.Err() == nil {
			_ = os.Remove(d.part) // to go on from it would end the same way
		}
		return "", err
	}
	return path, os.Rename(d.part, path)
}

// isLocal reports whether from names a folder.
func isLocal(from string) bool {
	return from != "" && !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://")
}

// place moves a folder to where nothing, or an empty folder, is.
func place(from, to string) error {
	if err := os.Chmod(from, 0o755); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty; Go renames over no folder
		return err
	}
	return os.Rename(from, to)
}
