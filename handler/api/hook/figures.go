package hook

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func asNumber(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0
	}
	return n
}

// cents says how many decimals Stripe leaves out of an amount. Source:
// docs.stripe.com, "Supported currencies": zero-decimal and three-decimal ones.
func cents(currency string) int {
	switch {
	case slices.Contains([]string{"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}, currency):
		return 0
	case slices.Contains([]string{"BHD", "JOD", "KWD", "OMR", "TND"}, currency):
		return 3
	}
	return 2
}

// money writes an amount in the smallest unit of its currency as people do.
func (b *budget) money(amount, currency any) (string, error) {
	digits, err := b.text(amount)
	if err != nil {
		return "", err
	}
	code, err := b.text(currency)
	code = strings.ToUpper(code)
	if _, numeral := seconds(digits); err != nil || !numeral || code == "" {
		return digits, err
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if n := cents(code); n > 0 {
		digits = strings.Repeat("0", max(0, n+1-len(digits))) + digits
		digits = digits[:len(digits)-n] + "." + digits[len(digits)-n:]
	}
	return sign + digits + " " + code, nil
}

// moment reads a time as senders write it: RFC 3339, or seconds since 1970. The
// year 1 is Go's zero time.
func moment(s string) (time.Time, bool) {
	if n, ok := seconds(s); ok && n > 0 && n < 1<<40 {
		return time.Unix(n, 0).UTC(), true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err == nil && t.Year() > 1
}

const dateLayout = "2 Jan 2006, 15:04:05 UTC"

func date(s string) string {
	if t, ok := moment(s); ok {
		return t.Format(dateLayout)
	}
	if strings.HasPrefix(s, "0001-01-01") {
		return ""
	}
	return s
}

// span is the time between two times; "" if one of them is no time.
func (b *budget) span(from, to any) (string, error) {
	first, err := b.text(from)
	if err != nil {
		return "", err
	}
	last, err := b.text(to)
	start, ok := moment(first)
	end, both := moment(last)
	if err != nil || !ok || !both || end.Before(start) {
		return "", err
	}
	return end.Sub(start).Round(time.Second).String(), nil
}
