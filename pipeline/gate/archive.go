package gate

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"path"
	"slices"
	"strings"
)

// Limits that no honest classifier comes near.
const (
	maxEntries  = 1 << 16
	maxCode     = 8 << 20   // bytes of one record of code
	maxInflated = 128 << 20 // bytes of all records that are compressed
	maxPickle   = 64 << 20
	maxName     = 512
)

// archive is the records of a file, without the folder that all lie in.
type archive struct {
	records  map[string][]byte
	dropped  map[string]bool
	folded   map[string]string // names by their lower-case form
	inflated int64
}

func (a *archive) drop(name string) {
	delete(a.records, name)
	a.dropped[name] = true
}

// looksLikeTorchScript tells what else people hand over, by its first bytes.
func looksLikeTorchScript(data []byte) error {
	switch {
	case len(data) == 0:
		return refuse("", "", "the file is empty")
	case data[0] == 0x80:
		return refuse("", exportAdvice, "this is a Python pickle, not TorchScript")
	case len(data) >= 8 && string(data[4:8]) == "PTMF":
		return refuse("", exportAdvice, "this is TorchScript as a flatbuffer, which is not read")
	case !bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return refuse("", exportAdvice, "this is not a TorchScript file")
	}
	return nil
}

func damaged(record string, err error) error {
	return refuse(record, copyAdvice, "the archive is damaged or truncated (%s)", strings.TrimPrefix(err.Error(), "zip: "))
}

func open(data []byte) (*archive, error) {
	if err := checkEnd(data); err != nil {
		return nil, err
	}
	in, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // such names are refused by name below
		return nil, damaged("", err)
	}
	if err := looksSaved(in); err != nil {
		return nil, err
	}
	if err := checkLayout(data, in); err != nil {
		return nil, err
	}
	root, _, _ := strings.Cut(in.File[0].Name, "/")
	a := &archive{records: map[string][]byte{}, dropped: map[string]bool{}, folded: map[string]string{}}
	for _, f := range in.File {
		name, ok := strings.CutPrefix(f.Name, root+"/")
		if !ok {
			return nil, refuse(clip(f.Name), ownAdvice, "the archive has records outside of its folder %s", clip(root))
		}
		if err := a.add(f, name, data); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// endSize is that of the record that ends an archive, without a comment.
const endSize = 22

// checkEnd wants nothing behind the archive, and bounds its records before they
// are counted out.
func checkEnd(data []byte) error {
	at := bytes.LastIndex(data, []byte("PK\x05\x06"))
	switch {
	case at < 0 || len(data)-at < endSize:
		return damaged("", zip.ErrFormat)
	case len(data)-at > endSize:
		return refuse("", ownAdvice, "%d bytes lie behind the end of the archive", len(data)-at-endSize)
	}
	// The size and the place of the directory: no record takes less than 46 bytes.
	if size := binary.LittleEndian.Uint32(data[at+12:]); size > maxEntries*(46+maxName) && size != math.MaxUint32 {
		return refuse("", ownAdvice, "the archive has more records than the %d that it may", maxEntries)
	}
	if n := binary.LittleEndian.Uint16(data[at+10:]); n == math.MaxUint16 {
		return refuse("", ownAdvice, "the archive has more records than the %d that it may", maxEntries)
	}
	return nil
}

// looksSaved tells archives of other kinds.
func looksSaved(in *zip.Reader) error {
	has := map[string]bool{}
	for _, f := range in.File {
		_, inside, _ := strings.Cut(f.Name, "/")
		has[inside] = true
		if strings.HasPrefix(inside, "code/") && path.Ext(inside) == ".py" {
			has["code"] = true
		}
	}
	switch {
	case !has["data.pkl"]:
		return refuse("", exportAdvice, "this is a ZIP archive of something else, not TorchScript")
	case !has["constants.pkl"] || !has["code"]:
		return refuse("", "load it in Python and "+exportAdvice, "this is a state dict or a pickled model (torch.save), not TorchScript")
	}
	return nil
}

// headSize is that of the head in front of a record's data, without name and fields.
const headSize = 30

// checkLayout wants the records one behind the other from the first byte up to
// the directory, each with the head that the directory says: other programs would
// see other records.
func checkLayout(data []byte, in *zip.Reader) error {
	byPlace := map[int64]*zip.File{}
	for _, f := range in.File {
		at, err := f.DataOffset()
		if err != nil {
			return damaged(clip(f.Name), err)
		}
		if byPlace[at] != nil {
			return refuse(clip(f.Name), ownAdvice, "the archive's records overlap")
		}
		byPlace[at] = f
	}
	at := int64(0)
	for range in.File {
		head := data[at:]
		if len(head) < headSize || !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
			return refuse("", ownAdvice, "the archive's records overlap, or something lies between them")
		}
		from := at + headSize + int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:]))
		f := byPlace[from]
		if f == nil {
			return refuse("", ownAdvice, "the archive's records overlap, or something lies between them")
		}
		if from > int64(len(data)) {
			return damaged(clip(f.Name), zip.ErrFormat)
		}
		if !sameHead(head, f) {
			return refuse(clip(f.Name), ownAdvice, "the archive says of this record one thing in its directory and another beside it")
		}
		end := from + int64(f.CompressedSize64)
		if f.CompressedSize64 > uint64(len(data)) || end > int64(len(data)) {
			return damaged(clip(f.Name), zip.ErrFormat)
		}
		at = end + descriptor(data, f, end)
	}
	if !bytes.HasPrefix(data[at:], []byte("PK\x01\x02")) {
		return refuse("", ownAdvice, "something lies between the archive's records and its directory")
	}
	return nil
}

// sameHead compares a record's head with the directory. The head is whole, as f's
// data were found by its lengths.
func sameHead(h []byte, f *zip.File) bool {
	le := binary.LittleEndian
	streamed := f.Flags&8 != 0
	same := func(v uint32, want uint64) bool {
		return uint64(v) == want || v == math.MaxUint32 || v == 0 && streamed
	}
	n := int(le.Uint16(h[26:]))
	return string(h[headSize:headSize+n]) == f.Name && le.Uint16(h[8:]) == f.Method && le.Uint16(h[6:]) == f.Flags &&
		same(le.Uint32(h[22:]), f.UncompressedSize64) && same(le.Uint32(h[18:]), f.CompressedSize64)
}

// descriptor is the length of what follows a record's data where its head had no sizes.
func descriptor(data []byte, f *zip.File, end int64) int64 {
	if f.Flags&8 == 0 || end < 0 || end > int64(len(data)) {
		return 0
	}
	rest := data[end:]
	le := binary.LittleEndian
	for _, mark := range []string{"PK\x07\x08", ""} { // writers may leave it out
		start := slices.Clip(le.AppendUint32([]byte(mark), f.CRC32))
		wide := le.AppendUint64(le.AppendUint64(start, f.CompressedSize64), f.UncompressedSize64)
		narrow := le.AppendUint32(le.AppendUint32(start, uint32(f.CompressedSize64)), uint32(f.UncompressedSize64))
		if bytes.HasPrefix(rest, wide) {
			return int64(len(wide))
		}
		if bytes.HasPrefix(rest, narrow) {
			return int64(len(narrow))
		}
	}
	return 0
}

// add checks a record's name and reads it.
func (a *archive) add(f *zip.File, name string, data []byte) error {
	keep, err := wanted(name)
	if err != nil {
		return err
	}
	if other, twice := a.folded[strings.ToLower(name)]; twice && other == name {
		return refuse(clip(name), ownAdvice, "the archive has it twice")
	} else if twice {
		return refuse(clip(name), ownAdvice, "the archive has it twice, differing by case, which libtorch does not tell apart")
	}
	a.folded[strings.ToLower(name)] = name
	if !keep {
		a.dropped[name] = true
		return nil
	}
	record, err := a.read(f, name, data)
	if err != nil {
		return err
	}
	a.records[name] = record
	return nil
}

// read gives a record's bytes; those of one that is not compressed are data's own.
func (a *archive) read(f *zip.File, name string, data []byte) ([]byte, error) {
	at, err := f.DataOffset()
	if err != nil {
		return nil, damaged(name, err)
	}
	if f.Flags&1 != 0 {
		return nil, refuse(name, exportAdvice, "the record is encrypted")
	}
	limit := uint64(maxCode)
	if path.Ext(name) == ".pkl" {
		limit = maxPickle
	}
	tensor := strings.HasPrefix(name, "data/") || strings.HasPrefix(name, "constants/")
	switch {
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return nil, refuse(name, exportAdvice, "the record is compressed in a way that PyTorch does not use")
	case tensor && f.Method != zip.Store:
		return nil, refuse(name, exportAdvice, "the record is compressed, which PyTorch does not do with tensors")
	case tensor && f.UncompressedSize64 > math.MaxUint32-1:
		return nil, refuse(name, "", "a tensor of more than 4 GiB, which is not read")
	case !tensor && f.UncompressedSize64 > limit:
		return nil, refuse(name, ownAdvice, "the record takes %d bytes, more than the %d that it may", f.UncompressedSize64, limit)
	}
	if f.Method == zip.Store {
		if f.CompressedSize64 != f.UncompressedSize64 {
			return nil, damaged(name, zip.ErrFormat)
		}
		record := data[at : at+int64(f.CompressedSize64)]
		if crc32.ChecksumIEEE(record) != f.CRC32 {
			return nil, damaged(name, zip.ErrChecksum)
		}
		return record, nil
	}
	return a.inflate(f, name)
}

func (a *archive) inflate(f *zip.File, name string) ([]byte, error) {
	if a.inflated += int64(f.UncompressedSize64); a.inflated > maxInflated {
		return nil, refuse(name, ownAdvice, "the compressed records take more than the %d bytes that they may", maxInflated)
	}
	r, err := f.Open()
	if err != nil {
		return nil, damaged(name, err)
	}
	defer func() { _ = r.Close() }()
	// What the directory says is not to be trusted: one byte more shows a lie.
	record, err := io.ReadAll(io.LimitReader(r, int64(f.UncompressedSize64)+1))
	if err == nil && uint64(len(record)) != f.UncompressedSize64 {
		err = zip.ErrFormat
	}
	if err != nil {
		return nil, damaged(name, err)
	}
	return record, nil
}
