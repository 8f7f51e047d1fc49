package gate

import (
	"fmt"
	"regexp"
	"strings"
)

// Limits of code. The serialiser breaks expressions up and writes one operator or
// so per line; libtorch's parser overflows its stack where they nest deeply.
const (
	maxIndent = 200     // columns, at two or so a level
	maxDepth  = 1000    // of an expression: brackets, operators and members add up
	maxToken  = 1 << 20 // bytes
	maxTokens = 2 << 20 // of all code
)

type kind int

const (
	name kind = iota
	literal
	text
	symbol
	newline
)

// token is one of code's. Its text is as written, quotes and all.
type token struct {
	kind   kind
	text   string
	line   int
	indent int // of the first one of a line outside of brackets
}

// symbols are what code may hold besides names, numbers and texts, longest first.
var symbols = [...]string{
	"**=", "//=", "<<=", ">>=", "...",
	"->", "==", "!=", "<=", ">=", "**", "//", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
	"(", ")", "[", "]", "{", "}", ",", ":", ".", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", "@",
}

// scanner takes code apart as its serialiser wrote it: without comments, joined
// lines, tabs or single quotes, which are where other scanners go wrong.
type scanner struct {
	record string
	code   string
	at     int
	line   int
	tokens []token
	open   []byte // brackets that are
	depth  []int  // reached within each, and outside of all
	total  int    // of depth
	indent int
}

// scan takes a record's code apart, into so many tokens at most.
func scan(record, code string, most int) ([]token, error) {
	s := &scanner{record: record, code: code, line: 1, depth: []int{0}, indent: -1}
	for s.at < len(s.code) {
		if err := s.next(); err != nil {
			return nil, err
		}
		if len(s.tokens) > most {
			return nil, s.refuse("the archive has more code than a classifier needs")
		}
	}
	if len(s.open) > 0 {
		return nil, s.refuse("a bracket is not closed")
	}
	return append(s.tokens, token{kind: newline, line: s.line}), nil
}

func (s *scanner) refuse(format string, args ...any) error {
	return &Refused{Record: s.record, Line: s.line, What: fmt.Sprintf(format, args...), Advice: ownAdvice}
}

func (s *scanner) next() error {
	if s.indent < 0 { // a line starts
		rest := strings.TrimLeft(s.code[s.at:], " ")
		s.indent = len(s.code) - s.at - len(rest)
		s.at += s.indent
		if s.indent > maxIndent {
			return s.refuse("the code is nested too deeply")
		}
		return nil
	}
	c := s.code[s.at]
	switch {
	case c == ' ':
		s.at++
		return nil
	case c == '\n':
		s.at++
		s.line++
		if len(s.open) == 0 {
			s.emit(newline, "")
			s.indent = -1
			s.separate()
		}
		return nil
	case letter(c):
		return s.word(name, func(c byte) bool { return letter(c) || digit(c) })
	case digit(c) || c == '.' && s.at+1 < len(s.code) && digit(s.code[s.at+1]) && !s.member():
		return s.number()
	case c == '"':
		return s.text()
	case c == '#':
		return s.refuse("a comment, which TorchScript does not write")
	case c < ' ' || c > '~' || c == '\\' || c == '\'':
		return s.refuse("the character %q, which TorchScript does not write", rune(c))
	}
	for _, sym := range symbols {
		if strings.HasPrefix(s.code[s.at:], sym) {
			s.at += len(sym)
			return s.symbol(sym)
		}
	}
	return s.refuse("the character %q, which TorchScript does not write", rune(c))
}

// member tells whether a dot continues what lies before it.
func (s *scanner) member() bool {
	if len(s.tokens) == 0 {
		return false
	}
	last := s.tokens[len(s.tokens)-1]
	return last.kind == name || last.text == ")" || last.text == "]"
}

func (s *scanner) emit(k kind, text string) {
	if last := len(s.tokens) - 1; k == newline && (last < 0 || s.tokens[last].kind == newline) {
		return // of an empty line
	}
	s.tokens = append(s.tokens, token{kind: k, text: text, line: s.line, indent: s.indent})
}

func (s *scanner) word(k kind, in func(byte) bool) error {
	start := s.at
	for s.at < len(s.code) && in(s.code[s.at]) {
		s.at++
	}
	if s.at-start > maxName {
		return s.refuse("a name or number of %d characters", s.at-start)
	}
	s.emit(k, s.code[start:s.at])
	return s.deepen()
}

// numbers are of the forms that TorchScript writes: libtorch reads others, and may end them
// elsewhere.
var numbers = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?j?`)

func (s *scanner) number() error {
	n := len(numbers.FindString(s.code[s.at:min(len(s.code), s.at+maxName+1)]))
	if n > maxName {
		return s.refuse("a name or number of more than %d characters", maxName)
	}
	s.emit(literal, s.code[s.at:s.at+n])
	s.at += n
	if s.at < len(s.code) && (letter(s.code[s.at]) || digit(s.code[s.at]) || s.code[s.at] == '.') {
		return s.refuse("a number of a form that TorchScript does not write")
	}
	return s.deepen()
}

// text is a string in double quotes, on one line.
func (s *scanner) text() error {
	start := s.at
	if last := len(s.tokens) - 1; last >= 0 && s.tokens[last].kind == text {
		return s.refuse("two texts side by side, which TorchScript does not write")
	}
	for s.at++; ; s.at++ {
		switch {
		case s.at >= len(s.code) || s.code[s.at] == '\n' || s.at-start > maxToken:
			return s.refuse("a text does not end, or is too long")
		case s.code[s.at] < ' ' || s.code[s.at] == 0x7f:
			return s.refuse("a control character in a text")
		case s.code[s.at] == '\\':
			n, ok := escape(s.code[s.at:])
			if !ok {
				return s.refuse("a control character in a text")
			}
			s.at += n - 1
		case s.code[s.at] == '"':
			s.at++
			s.emit(text, s.code[start:s.at])
			return s.deepen()
		}
	}
}

// escape is the length of an escape that starts code; those that could steer a
// terminal are not ok.
func escape(code string) (n int, ok bool) {
	if len(code) < 2 {
		return 0, false
	}
	switch c := code[1]; c {
	case '\\', '\'', '"', 'n', 'r', 't':
		return 2, true
	case '0', '1', '2', '3':
		if len(code) < 4 || code[2] < '0' || code[2] > '7' || code[3] < '0' || code[3] > '7' {
			return 0, false
		}
		v := (c-'0')<<6 | (code[2]-'0')<<3 | code[3] - '0'
		return 4, v >= ' ' && v != 0x7f
	}
	return 0, false
}

func (s *scanner) symbol(sym string) error {
	switch sym {
	case "(", "[", "{":
		s.emit(symbol, sym)
		if err := s.deepen(); err != nil {
			return err
		}
		s.open = append(s.open, sym[0])
		s.depth = append(s.depth, 0)
		return nil
	case ")", "]", "}":
		match := map[string]byte{")": '(', "]": '[', "}": '{'}[sym]
		if n := len(s.open); n == 0 || s.open[n-1] != match {
			return s.refuse("a bracket %s that closes nothing", sym)
		}
		s.separate()
		s.open = s.open[:len(s.open)-1]
		s.depth = s.depth[:len(s.depth)-1]
	case ",":
		s.separate()
	}
	s.emit(symbol, sym)
	return s.deepen()
}

// deepen counts a token into the depth that its expression may have.
func (s *scanner) deepen() error {
	s.depth[len(s.depth)-1]++
	if s.total++; s.total > maxDepth {
		return s.refuse("an expression is nested too deeply, or too long")
	}
	return nil
}

// separate starts another expression beside the last one.
func (s *scanner) separate() {
	s.total -= s.depth[len(s.depth)-1]
	s.depth[len(s.depth)-1] = 0
}
