package dns

import "strings"

// Level is how bad a finding is.
type Level int

// The levels. What could not be asked is Yellow. Green may have a Remedy that is a hint.
const (
	Green Level = iota
	Yellow
	Red
)

func (l Level) String() string { return [...]string{"green", "yellow", "red"}[l] }

// MarshalText is for JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that is right, doubtful or wrong.
type Finding struct {
	Level    Level      `json:"level"`
	Code     string     `json:"code"` // stable, such as spf-two-records
	Kind     Kind       `json:"kind"`
	Record   string     `json:"record"` // the name that was asked for
	Sentence string     `json:"sentence"`
	Remedy   string     `json:"remedy,omitempty"` // what to do, a step a line; empty only if Green
	Evidence []Evidence `json:"evidence,omitempty"`

	blocks bool // whether ACS need not be asked while it stands, though it is not red
}

// Differs says whether it is about servers that say different things, so that the
// evidence tells more than the sentence.
func (f Finding) Differs() bool {
	return strings.HasSuffix(f.Code, "-partial") || f.Code == "zone-delegation-differs"
}

// Evidence is what one server said.
type Evidence struct {
	Server string `json:"server"`
	Answer string `json:"answer"`
}

// Server is one address of an authoritative server.
type Server struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Answered bool   `json:"answered"` // at least once
	Trouble  string `json:"trouble,omitempty"`
}

// Report is what one Check saw.
type Report struct {
	Domain   string    `json:"domain"`
	Zone     string    `json:"zone"` // the zone that holds the domain; empty if it was not found
	Servers  []Server  `json:"servers"`
	Findings []Finding `json:"findings"`
	Standing []Record  `json:"standing"` // the TXT records at the domain as they stand now
	Resolved bool      `json:"-"`        // whether a resolver answered

	unready map[Kind]string // why ACS need not be asked yet; empty if it may
}

// Level is the level of the worst finding.
func (r Report) Level() Level {
	worst := Green
	for _, f := range r.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Asked says whether any authoritative server answered. If not, and nothing is red,
// nothing is known.
func (r Report) Asked() bool {
	for _, s := range r.Servers {
		if s.Answered {
			return true
		}
	}
	return false
}

// Ready says whether the record of a kind stands at every authoritative server, so that
// ACS may be asked to verify it, and if not, why. Of DMARC it is never asked for:
// verification of it never ends.
func (r Report) Ready(k Kind) (ready bool, why string) {
	why, asked := r.unready[k]
	if all := r.unready[KindNone]; all != "" { // of the domain as a whole
		return false, all
	}
	if !asked {
		return false, "It was not asked for."
	}
	return why == "", why
}
