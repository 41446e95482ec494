package mail

import "strings"

// Anyone is the pattern that every address fits.
const Anyone = "*"

// Pattern returns a pattern for addresses in its normal form: an address, *@domain for every
// address of a domain, or Anyone. An error says what is wrong, in words for people.
func Pattern(s string) (string, error) {
	if s == Anyone {
		return s, nil
	}
	if domain, ok := strings.CutPrefix(s, "*@"); ok {
		domain, err := Domain(domain)
		return "*@" + domain, err
	}
	return Mailbox(s)
}

// Fits says whether an address fits a pattern. Both are in their normal form; case does not
// count.
func Fits(pattern, address string) bool {
	_, domain, _ := strings.Cut(address, "@")
	return pattern == Anyone || strings.EqualFold(pattern, address) || strings.EqualFold(pattern, "*@"+domain)
}
