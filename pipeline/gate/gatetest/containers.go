package gatetest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// containers are files that no ZIP writer writes, made by patching one.
func containers(t testing.TB) []Hostile {
	t.Helper()
	good := Honest().Bytes(t)
	le := binary.LittleEndian
	directory := bytes.Index(good, []byte("PK\x01\x02"))
	patched := func(patch func(b []byte) []byte) []byte { return patch(slices.Clone(good)) }
	// moved shifts the places that the directory has, and that of the directory, by n.
	moved := func(b []byte, n int) []byte {
		for at := bytes.Index(b, []byte("PK\x01\x02")); at >= 0 && bytes.HasPrefix(b[at:], []byte("PK\x01\x02")); {
			le.PutUint32(b[at+42:], le.Uint32(b[at+42:])+uint32(n))
			at += 46 + int(le.Uint16(b[at+28:])) + int(le.Uint16(b[at+30:])) + int(le.Uint16(b[at+32:]))
		}
		end := bytes.LastIndex(b, []byte("PK\x05\x06"))
		le.PutUint32(b[end+16:], le.Uint32(b[end+16:])+uint32(n))
		return b
	}
	return []Hostile{
		{Name: "flatbuffer", Data: append([]byte("\x18\x00\x00\x00PTMF"), make([]byte, 64)...), Want: "a flatbuffer, which is not read"},
		{Name: "pickle", Data: []byte("\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."), Want: "a Python pickle, not TorchScript"},
		{Name: "empty", Data: nil, Want: "the file is empty"},
		{Name: "program", Data: []byte("\x7fELF\x02\x01\x01"), Want: "not a TorchScript file"},
		{Name: "truncated", Data: good[:len(good)/2], Want: "damaged or truncated"},
		{Name: "junk in front", Data: append([]byte("#!/bin/sh\n"), good...), Want: "not a TorchScript file"},
		{Name: "junk behind", Data: append(slices.Clone(good), "rm -rf"...), Want: "6 bytes lie behind the end of the archive"},
		{Name: "archive in front", Data: patched(func(b []byte) []byte {
			return moved(append([]byte("PK\x03\x04"+strings.Repeat("\x00", 96)), b...), 100)
		}), Want: "something lies between them"},
		{Name: "gap before the directory", Data: patched(func(b []byte) []byte {
			b = slices.Insert(b, directory, make([]byte, 10)...)
			end := bytes.LastIndex(b, []byte("PK\x05\x06"))
			le.PutUint32(b[end+16:], le.Uint32(b[end+16:])+10)
			return b
		}), Want: "something lies between the archive's records and its directory"},
		{Name: "another name beside the record", Data: patched(func(b []byte) []byte { b[30+len("net/")] = 'D'; return b }), Want: "one thing in its directory and another beside it"},
		{Name: "another size beside the record", Data: patched(func(b []byte) []byte { b[22]++; return b }), Want: "one thing in its directory and another beside it"},
		{Name: "another method in the directory", Data: patched(func(b []byte) []byte { b[directory+10] = 8; return b }), Want: "one thing in its directory and another beside it"},
		{Name: "name longer than the file", Data: patched(func(b []byte) []byte { b[26], b[27] = 0xff, 0xff; return b }), Want: "net/data.pkl: the archive is damaged or truncated"},
		{Name: "bit flipped", Data: patched(func(b []byte) []byte { b[bytes.Index(b, []byte("\x80\x3f"))] ^= 1; return b }), Want: "data/0: the archive is damaged or truncated (checksum error)"},
		{Name: "overlapping records", Data: patched(func(b []byte) []byte {
			second := directory + 46 + int(le.Uint16(b[directory+28:]))
			le.PutUint32(b[second+42:], 0)
			return b
		}), Want: "overlap"},
		{Name: "too many records", Data: patched(func(b []byte) []byte {
			end := bytes.LastIndex(b, []byte("PK\x05\x06"))
			le.PutUint16(b[end+8:], 0xffff)
			le.PutUint16(b[end+10:], 0xffff)
			return b
		}), Want: "more records than"},
		{Name: "bomb whose size is a lie", Data: lyingBomb(t), Want: "code/__torch__.py: the archive is damaged"},
	}
}

// lyingBomb has code that inflates to more than both heads say.
func lyingBomb(t testing.TB) []byte {
	t.Helper()
	m := Honest()
	big := strings.Repeat(" ", 1<<20)
	b := m.With("code/__torch__.py", big).Bytes(t)
	size := binary.LittleEndian.AppendUint32(nil, 1<<20)
	return bytes.ReplaceAll(b, size, binary.LittleEndian.AppendUint32(nil, 1000))
}

// records are archives whose records are not what TorchScript's are.
func records() []change {
	m := Honest()
	return []change{
		{name: "twice", model: m.and(Record{Name: "data.pkl", Data: net(weight)}), want: "data.pkl: the archive has it twice"},
		{name: "twice but for case", model: m.and(Record{Name: "code/__torch__/A.py"}).and(Record{Name: "code/__torch__/a.py"}), want: "differing by case"},
		{name: "capital letters", model: m.and(Record{Name: "DATA.PKL", Data: net(weight)}), want: "in capital letters"},
		{name: "capital code", model: m.and(Record{Name: "CODE/__torch__.py", Data: source("", "x")}), want: "in capital letters"},
		{name: "unknown record", model: m.and(Record{Name: "model.json", Data: "{}"}), want: "model.json: TorchScript has no record of this name"},
		{name: "path upwards", model: m.and(Record{Name: "code/__torch__/../../../x.py"}), want: "no record of this name"},
		{name: "path from the root", model: m.and(Record{Name: "//etc/passwd"}), want: "outside of its folder net"},
		{name: "two folders", model: m.and(Record{Name: "/other/data.pkl", Data: net(weight)}), want: "outside of its folder net"},
		{name: "escape in a name", model: m.and(Record{Name: "data/\x1b[2J"}), want: "not plain text"},
		{name: "code elsewhere", model: m.and(Record{Name: "code/os.py", Data: source("", "x")}), want: "no record of this name"},
		{name: "encrypted", model: m.replaced(2, Record{Name: "data/0", Data: m.Records[2].Data, Flags: 1}), want: "data/0: the record is encrypted"},
		{name: "method of another kind", model: m.replaced(2, Record{Name: "data/0", Data: m.Records[2].Data, Method: 12}), want: "in a way that PyTorch does not use"},
		{name: "tensor compressed", model: m.replaced(2, Record{Name: "data/0", Data: m.Records[2].Data, Method: zip.Deflate}), want: "the record is compressed, which PyTorch does not do"},
		{name: "bomb", model: m.With("code/__torch__.py", strings.Repeat(" ", 8<<20+1)), want: "code/__torch__.py: the record takes 8388609 bytes"},
		{name: "no version", model: m.without("version"), want: "lacks its version"},
		{name: "two versions", model: m.and(Record{Name: ".data/version", Data: "3\n"}), want: "two versions"},
		{name: "version of the future", model: m.With("version", "99\n"), want: "version 99 of TorchScript is not known"},
		{name: "version of the past", model: m.With("version", "1\n"), want: "version 1 of TorchScript is too old"},
		{name: "version that is none", model: m.With("version", "3\x1b[31m"), want: "is no version"},
		{name: "big-endian", model: m.and(Record{Name: "byteorder", Data: "big"}), want: "big-endian"},
		{name: "state dict", model: m.without("code/__torch__.py").without("constants.pkl"), want: "a state dict or a pickled model"},
		{name: "archive of something else", model: m.without("data.pkl"), want: "a ZIP archive of something else"},
	}
}
