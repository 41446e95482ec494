package sendgrid

import "github.com/posthorn/posthorn/handler/accept/wire"

var mailSettings = wire.Object[body]{
	wire.Nested("sandbox_mode", enable, func(b *body) *setting { return &b.sandbox }),
	wire.Nested("footer", footer, refuse("/mail_settings/footer", "A footer is not added here. Put it into the content.")),
	wire.Nested("bcc", bccSetting, refuse("/mail_settings/bcc", "Put the address into bcc of the personalizations.")),
	wire.Nested("spam_check", spamCheck, refuse("/mail_settings/spam_check", "Messages are not checked for spam here.")),
	wire.Nested("bypass_list_management", enable, refuse("/mail_settings/bypass_list_management", noBypass)),
	wire.Nested("bypass_spam_management", enable, refuse("/mail_settings/bypass_spam_management", noBypass)),
	wire.Nested("bypass_bounce_management", enable, refuse("/mail_settings/bypass_bounce_management", noBypass)),
	wire.Nested("bypass_unsubscribe_management", enable, refuse("/mail_settings/bypass_unsubscribe_management", noBypass)),
}

const noBypass = "Recipients that ACS or Posthorn does not write to cannot be reached in this way."

var trackingSettings = wire.Object[body]{
	wire.Nested("click_tracking", clicks, func(b *body) *setting { return &b.clicks }),
	wire.Nested("open_tracking", opens, func(b *body) *setting { return &b.opens }),
	wire.Nested("subscription_tracking", subscriptions, refuse("/tracking_settings/subscription_tracking",
		"No link to unsubscribe is added here. Put it into the content, and List-Unsubscribe into the headers.")),
	wire.Nested("ganalytics", analytics, refuse("/tracking_settings/ganalytics", "Links are not changed here. Put the parameters into them.")),
}

// refuse keeps a switch that must be off.
func refuse(pointer, why string) func(*body) *setting {
	return func(b *body) *setting {
		b.refused = append(b.refused, refusedSetting{pointer: pointer, why: why})
		return &b.refused[len(b.refused)-1].setting
	}
}

var enable = with()

var (
	footer        = with("text", "html")
	bccSetting    = with("email")
	spamCheck     = with("threshold", "post_to_url")
	clicks        = with("enable_text")
	opens         = with("substitution_tag")
	subscriptions = with("text", "html", "substitution_tag")
	analytics     = with("utm_source", "utm_medium", "utm_term", "utm_content", "utm_campaign")
)

// with is the table of a switch and the parameters that mean nothing while it is
// off, or nothing here.
func with(parameters ...string) wire.Object[setting] {
	table := wire.Object[setting]{wire.Switch("enable", func(s *setting) **bool { return &s.enable })}
	for _, name := range parameters {
		table = append(table, wire.Passed[setting](name))
	}
	return table
}
