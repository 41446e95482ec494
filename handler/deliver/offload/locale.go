package offload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/posthorn/posthorn/handler/problem"
)

// locale is all that offload says to a recipient, in one language.
type locale struct {
	tag     language.Tag
	heading string // over the links
	button  string // that downloads a file
	until   string // %s is the time at which a link ends
	layout  string // of that time, in UTC, for time.Format; January is replaced
	months  [12]string
	decimal string // separates a number's whole part from its fraction
	pages   map[problem.Kind]notice
}

// notice is what a page says.
type notice struct{ Title, Text string }

// locales is the table of languages. The first is spoken where none is known.
var locales = []locale{
	{
		tag:     language.English,
		heading: "Attached files",
		button:  "Download",
		until:   "available until %s",
		layout:  "2 January 2006, 15:04 MST",
		months: [12]string{"January", "February", "March", "April", "May", "June",
			"July", "August", "September", "October", "November", "December"},
		decimal: ".",
		pages: map[problem.Kind]notice{
			problem.Gone:        {"This link no longer works", "It has expired or was withdrawn. Ask the sender of the e-mail for the file if you still need it."},
			problem.NotFound:    {"There is no file here", "The address may be incomplete. Open the link from the e-mail again."},
			problem.Unavailable: {"The file cannot be reached just now", "Please try again in a few minutes."},
		},
	},
	{
		tag:     language.German,
		heading: "Angehängte Dateien",
		button:  "Herunterladen",
		until:   "verfügbar bis %s",
		layout:  "2. January 2006, 15:04 Uhr MST",
		months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni",
			"Juli", "August", "September", "Oktober", "November", "Dezember"},
		decimal: ",",
		pages: map[problem.Kind]notice{
			problem.Gone:        {"Dieser Link gilt nicht mehr", "Er ist abgelaufen oder wurde zurückgezogen. Wenn Sie die Datei noch brauchen, wenden Sie sich an den Absender der E-Mail."},
			problem.NotFound:    {"Hier ist keine Datei", "Vielleicht ist die Adresse unvollständig. Öffnen Sie den Link noch einmal aus der E-Mail."},
			problem.Unavailable: {"Die Datei ist gerade nicht erreichbar", "Bitte versuchen Sie es in einigen Minuten noch einmal."},
		},
	},
}

var matcher = language.NewMatcher(tags(locales))

func tags(ls []locale) []language.Tag {
	var all []language.Tag
	for _, l := range ls {
		all = append(all, l.tag)
	}
	return all
}

// maxWishBytes is more than browsers send. A stranger chooses the length of the list, and
// 27 kB of it take 10 ms.
const maxWishBytes = 1 << 10

// localeFor picks the best locale for the first wish that any locale meets. A
// wish is a BCP 47 tag or a list as in Accept-Language; nonsense is no wish.
func localeFor(wishes ...string) locale {
	wishes = slices.DeleteFunc(slices.Clone(wishes), func(w string) bool { return len(w) > maxWishBytes })
	_, i := language.MatchStrings(matcher, wishes...)
	return locales[i]
}

// availableUntil says when a link ends, to the minute before it does.
func (l locale) availableUntil(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf(l.until, strings.Replace(t.Format(l.layout), t.Month().String(), l.months[t.Month()-1], 1))
}

// size is a number of bytes for people: 999 B, 1.0 kB, 12.6 MB. Units are the
// decimal ones of the SI.
func (l locale) size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"kB", "MB", "GB", "TB"}
	unit := int64(1000)
	tenths := func() int64 { return (n + unit/20) / (unit / 10) }
	for tenths() >= 10_000 && len(units) > 1 {
		unit, units = unit*1000, units[1:]
	}
	return fmt.Sprintf("%d%s%d %s", tenths()/10, l.decimal, tenths()%10, units[0])
}
