package gate

import (
	"strconv"
	"strings"
)

// wanted tells whether a record is needed to load a model; one of a name that
// TorchScript does not have is refused.
func wanted(name string) (bool, error) {
	switch name {
	case "version", ".data/version", "byteorder", "data.pkl", "constants.pkl":
		return true, nil
	case ".data/serialization_id", ".format_version", ".storage_alignment", "bytecode.pkl", "mobile_debug_handles.pkl", "traced_inputs.pkl":
		return false, nil
	}
	if len(name) > maxName || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false, refuse(clip(name), ownAdvice, "a record's name is too long, empty or not plain text")
	}
	folder, rest, _ := strings.Cut(name, "/")
	switch {
	case (folder == "data" || folder == "constants") && number(rest):
		return true, nil
	case folder == "extra" && rest != "", folder == "traced_inputs" && number(rest):
		return false, nil
	case folder == "code" && codePath(strings.TrimSuffix(rest, ".debug_pkl")):
		return !strings.HasSuffix(rest, ".debug_pkl"), nil
	}
	if lower := strings.ToLower(name); lower != name {
		if _, err := wanted(lower); err == nil {
			return false, refuse(clip(name), ownAdvice, "a record's name in capital letters, which PyTorch does not write")
		}
	}
	return false, refuse(clip(name), ownAdvice, "TorchScript has no record of this name")
}

func number(s string) bool {
	n, err := strconv.ParseUint(s, 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// codePath is __torch__.py, or a file below __torch__/ whose folders are identifiers.
func codePath(name string) bool {
	rest, ok := strings.CutSuffix(name, ".py")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	if parts[0] != "__torch__" || len(parts) > 64 {
		return false
	}
	for _, p := range parts {
		if !identifier(p) {
			return false
		}
	}
	return true
}

func identifier(s string) bool {
	for i := range len(s) {
		if !letter(s[i]) && (i == 0 || !digit(s[i])) {
			return false
		}
	}
	return s != ""
}

func letter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// checkForm checks the version and the byte order.
func (a *archive) checkForm() error {
	version := "version"
	text, ok := a.records[version]
	if newer, has := a.records[".data/version"]; has {
		if ok {
			return refuse("version", ownAdvice, "the archive has two versions")
		}
		version, text, ok = ".data/version", newer, true
	}
	if !ok {
		return refuse("", exportAdvice, "the archive lacks its version")
	}
	digits := strings.TrimSuffix(string(text), "\n")
	n, err := strconv.Atoi(digits)
	switch {
	case !number(digits) || err != nil || n < 1:
		return refuse(version, copyAdvice, "%s is no version of TorchScript", clip(string(text)))
	case n < 3:
		return refuse(version, "save it again with a newer PyTorch", "version %d of TorchScript is too old", n)
	case n > 10:
		return refuse(version, "save it with an older PyTorch", "version %d of TorchScript is not known", n)
	}
	if order, has := a.records["byteorder"]; has && string(order) != "little" {
		if string(order) == "big" {
			return refuse("byteorder", "save it again on a little-endian machine", "its numbers are big-endian")
		}
		return refuse("byteorder", copyAdvice, "%s is no byte order", clip(string(order)))
	}
	for _, needed := range []string{"data.pkl", "constants.pkl"} {
		if a.records[needed] == nil {
			return refuse("", copyAdvice, "the archive lacks %s", needed)
		}
	}
	return nil
}

// clip is a name of the file's own, short enough for a line.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	quoted := strconv.QuoteToASCII(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return quoted
}
