package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/fault"
)

// download brings a URL to a file, going on where an earlier one ended.
type download struct {
	url, part string
	set       string
	most      int64 // bytes that the file may have
	o         Options
	f         *os.File // of part, locked from open to close
	got       int64    // bytes that came
	far       int64    // the most bytes that the file ever had
}

// errGoOn wraps what a later try may get over.
type errGoOn struct{ error }

func (e errGoOn) Unwrap() error { return e.error }

// open makes the file this process's own, until close: also while it is checked
// and renamed, since a second process would begin by cutting it short.
func (d *download) open() error {
	f, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fault.Misuse("fetch %s: %w", d.url, err)
	}
	if err := d.lock(f); err != nil {
		return errors.Join(err, f.Close())
	}
	d.f = f
	return nil
}

func (d *download) lock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fault.Misuse("fetch %s: another process writes %s; wait for it", d.url, d.part)
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	// Between opening and locking the one before may have finished with it.
	if there, err := os.Stat(d.part); err != nil || !os.SameFile(mine, there) {
		return fault.Misuse("fetch %s: another process has brought it, or given it up, just now; give the same command again", d.url)
	}
	d.far = mine.Size()
	return nil
}

func (d *download) close() {
	if info, err := d.f.Stat(); err == nil && info.Size() == 0 {
		_ = os.Remove(d.part) // there is nothing to go on from
	}
	d.f.Close()
}

func (d *download) run(ctx context.Context) error {
	for try := 1; ; {
		before := d.far
		err := d.try(ctx, d.f)
		var later errGoOn
		switch {
		case err == nil:
			return d.f.Sync()
		case ctx.Err() != nil:
			return fmt.Errorf("fetch %s: %w; what has come is kept, and the same command goes on", d.url, ctx.Err())
		case !errors.As(err, &later):
			return err
		}
		if d.far > before {
			try = 1 // it gets on
		}
		if try++; try > d.o.Tries {
			return fmt.Errorf("fetch %s: %w; what has come is kept: try again later, or from elsewhere by --from", d.url, later.error)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try-1) * d.o.Pause):
		}
	}
}

// try asks for what is missing and writes what comes.
func (d *download) try(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.o.Stall, func() { cancel(fmt.Errorf("nothing came for %s", d.o.Stall)) })
	defer stalled.Stop()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return fault.Misuse("fetch %s: %w", d.url, err)
	}
	request.Header.Set("Accept-Encoding", "identity") // else an archive might come unpacked
	if have > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(have, 10)+"-")
	}
	response, err := d.o.Client.Do(request)
	if err != nil {
		return errGoOn{whyNot(ctx, err)}
	}
	defer func() { _ = response.Body.Close() }() // what was read is checked by its sum
	total, err := d.begin(f, have, response)
	if err != nil || total == complete {
		return err
	}
	return d.receive(ctx, f, response.Body, total, stalled)
}

// What begin may say in place of a size.
const (
	unsaid   = -1
	complete = -2
)

// begin looks at an answer and makes f ready for what follows. total is the size
// that the file is to have, or it is complete already.
func (d *download) begin(f *os.File, have int64, response *http.Response) (total int64, err error) {
	switch code := response.StatusCode; {
	case code == http.StatusPartialContent && have > 0:
		start, total := contentRange(response.Header.Get("Content-Range"))
		if start == have {
			return total, nil
		}
		return 0, errors.Join(f.Truncate(0), errGoOn{fmt.Errorf("it answers from byte %d, not %d", start, have)})
	case code == http.StatusOK: // all of it, asked for or not
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
		_, err := f.Seek(0, io.SeekStart)
		return response.ContentLength, err
	case code == http.StatusRequestedRangeNotSatisfiable && have > 0:
		if _, total := contentRange(response.Header.Get("Content-Range")); total == have {
			return complete, nil
		}
		return 0, errors.Join(f.Truncate(0), errGoOn{errors.New("more was there than the file has")})
	case code >= 500 || code == http.StatusTooManyRequests:
		return 0, errGoOn{fmt.Errorf("it answers %s", response.Status)}
	default:
		return 0, fault.Misuse("fetch %s: it answers %s; name another place by --from", d.url, response.Status)
	}
}

// contentRange reads "bytes 5-9/10" as 5 and 10, "bytes */10" as unsaid and 10.
func contentRange(text string) (start, total int64) {
	span, size, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return unsaid
		}
		return n
	}
	return number(first), number(size)
}

func (d *download) receive(ctx context.Context, f *os.File, from io.Reader, total int64, stalled *time.Timer) error {
	have, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if total > d.most {
		return d.tooLarge(f)
	}
	m := newMeter(d.o.Progress, "fetch", filepath.Base(f.Name()), total)
	m.add(have)
	err = d.copy(ctx, f, from, total, m, stalled)
	m.end(err == nil)
	return err
}

func (d *download) copy(ctx context.Context, f *os.File, from io.Reader, total int64, m *meter, stalled *time.Timer) error {
	buf := make([]byte, 64<<10)
	for {
		n, readErr := from.Read(buf)
		if n > 0 {
			stalled.Reset(d.o.Stall)
			if _, err := f.Write(buf[:n]); err != nil {
				return d.writeError(err)
			}
			m.add(int64(n))
			d.got += int64(n)
			d.far = max(d.far, m.at)
		}
		switch {
		case m.at > d.most:
			return d.tooLarge(f)
		case readErr == io.EOF && (total < 0 || m.at == total):
			return nil
		case readErr == io.EOF, errors.Is(readErr, io.ErrUnexpectedEOF):
			return errGoOn{fmt.Errorf("the transfer broke off at %d of %d bytes", m.at, total)}
		case readErr != nil:
			return errGoOn{whyNot(ctx, readErr)}
		case total >= 0 && m.at > total:
			return errors.Join(f.Truncate(0), fmt.Errorf("fetch %s: more came than the %d bytes that it said", d.url, total))
		}
	}
}

// tooLarge gives up a file that would fill the disk: no archive is larger than
// what is in it.
func (d *download) tooLarge(f *os.File) error {
	return errors.Join(f.Truncate(0), fault.Misuse("fetch %s: it is more than the %d MiB that %s takes; name another place by --from", d.url, d.most/mib, d.set))
}

func (d *download) writeError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("fetch %s: %w; make room, and the same command goes on", d.url, err)
	}
	return fmt.Errorf("fetch %s: %w", d.url, err)
}

// whyNot prefers the reason for which a request was given up.
func whyNot(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
