package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	missing   = "–"
	notFinite = "not finite"
)

// share formats an ACC, ASR, RA or DER.
func share(v *float64) string {
	if v == nil {
		return missing
	}
	if math.IsNaN(*v) {
		return notFinite
	}
	return strconv.FormatFloat(*v, 'f', 3, 64)
}

// change formats after − before with its sign.
func change(before, after *float64) string {
	if before == nil || after == nil || math.IsNaN(*after-*before) {
		return missing
	}
	// Rounded first: 0.8851 − 0.8849 is shown as 0.885 twice.
	diff := math.Round(*after*1000) - math.Round(*before*1000)
	switch {
	case diff > 0:
		return fmt.Sprintf("+%.3f", diff/1000)
	case diff < 0:
		return fmt.Sprintf("−%.3f", -diff/1000)
	}
	return "0.000"
}

// padded formats a score or loss with four significant digits, zeros at the end
// included, so that columns stand straight.
func padded(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return notFinite
	case a == 0:
		return "0"
	case a < 1e-4 || a >= 1e7:
		return minus(strconv.FormatFloat(v, 'e', 3, 64))
	default:
		return minus(strconv.FormatFloat(v, 'f', max(0, 3-int(math.Floor(math.Log10(a)))), 64))
	}
}

// decimal is padded without zeros at the end: 0.01, not 0.01000.
func decimal(v float64) string {
	text := padded(v)
	if strings.Contains(text, ".") && !strings.Contains(text, "e") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// minus gives numbers a minus sign in place of the hyphen.
func minus(text string) string { return strings.ReplaceAll(text, "-", "−") }

func optional(v *float64) string {
	if v == nil {
		return missing
	}
	return padded(*v)
}

// date formats an RFC 3339 time for people; anything else is left as it is.
func date(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return at.Format("2 January 2006, 15:04")
}

// integer groups thousands, as in 60,000.
func integer(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// plural puts n before the form of the words that fits it.
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return integer(n) + " " + more
}

// duration formats seconds for people: 0.004 s, 12.3 s, 3 min 20 s, 2 h 5 min.
func duration(seconds float64) string {
	switch {
	case math.IsNaN(seconds) || math.IsInf(seconds, 0):
		return missing
	case seconds < 0.1:
		return fmt.Sprintf("%.3f s", seconds)
	case seconds < 1:
		return fmt.Sprintf("%.2f s", seconds)
	case seconds < 100:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 3600:
		whole := int(math.Round(seconds))
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	}
	minutes := int(math.Round(seconds / 60))
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}

// shellLine writes arguments as they could be typed.
func shellLine(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`*?[](){}<>|&;!#~") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
