package runstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// ErrDamaged is what a file of ours is that is not as it was written: bits have
// flipped, or it was cut, or edited.
var ErrDamaged = errors.New("it is damaged")

// seal is a JSON object's last member, the SHA-256 of all before it.
var seal = regexp.MustCompile(`,\s*"checksum":\s*"([0-9a-f]{64})"\s*\}\s*$`)

// brokenSeal is one whose name or digits have been changed.
var brokenSeal = regexp.MustCompile(`,\s*"[^"]*":\s*"[^"]{64}"\s*\}\s*$`)

// Seal gives a JSON object, which has members, with a checksum as its last.
func Seal(object []byte) []byte {
	body := bytes.TrimRight(bytes.TrimSpace(object), "}")
	space := " "
	if trimmed := bytes.TrimRight(body, " \n"); len(trimmed) < len(body) {
		body, space = trimmed, "\n "
	}
	sum := sha256.Sum256(body)
	return fmt.Appendf(bytes.Clone(body), ",%s\"checksum\": \"%x\"%s}\n", space, sum, space[:len(space)-1])
}

// CheckSeal fails with ErrDamaged where text does not have the checksum that it
// says. One that says none, of an earlier ulrl, passes if it is JSON.
func CheckSeal(text []byte) error {
	at := seal.FindSubmatchIndex(text)
	if at == nil {
		switch {
		case !json.Valid(text):
			return fmt.Errorf("%w: it is no JSON", ErrDamaged)
		case brokenSeal.Match(text):
			return fmt.Errorf("%w: its checksum cannot be read", ErrDamaged)
		}
		return nil
	}
	if sum := sha256.Sum256(text[:at[0]]); hex.EncodeToString(sum[:]) != string(text[at[2]:at[3]]) {
		return fmt.Errorf("%w: its checksum is another", ErrDamaged)
	}
	return nil
}

// WriteSealed writes v as a sealed JSON object, indented; see WriteFileAtomic.
func WriteSealed(path string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return WriteFileAtomic(path, Seal(text), 0o644)
}

// ReadSealed reads a JSON object into v; ErrDamaged is among its errors.
func ReadSealed(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, cause(err))
	}
	if err := CheckSeal(text); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
	}
	return nil
}

// SumOf is the SHA-256 of data as results have it.
func SumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// CheckFiles compares the files of a folder with what its description, a sealed
// object with the member "sha256", says of them. The error is ErrDamaged where one
// is missing or another; a description without sums, of an earlier ulrl, passes.
func CheckFiles(dir, description string) error {
	var of struct {
		Sums map[string]string `json:"sha256"`
	}
	if err := ReadSealed(filepath.Join(dir, description), &of); err != nil {
		return err
	}
	delete(of.Sums, FileReport) // that earlier ones name; it may have been made anew
	for _, name := range slices.Sorted(maps.Keys(of.Sums)) {
		path := filepath.Join(dir, filepath.Base(name))
		sum, err := SumFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s: %w: it is gone", path, ErrDamaged)
		case err != nil:
			return fmt.Errorf("read %s: %w", path, cause(err))
		case sum != of.Sums[name]:
			return fmt.Errorf("%s: %w: its checksum is another", path, ErrDamaged)
		}
	}
	return nil
}

// SumFile is SumOf what a file holds; its errors are as os gives them.
func SumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read: nothing can be lost
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
