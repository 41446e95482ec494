package sendtest

import "github.com/posthorn/posthorn/handler/deliver/acs"

// adviceOn is what to do about a code of ACS.
func adviceOn(code string) string {
	switch code {
	case acs.CodeDenied:
		return "The identity needs the role Communication and Email Service Owner on the Communication Services resource. A new role takes some minutes to work. An access key must be that of this resource, and allowed there."
	case acs.CodeDomainNotLinked:
		return `"posthorn domain list" shows which domains are linked, and "posthorn domain link NAME" links one.`
	case acs.CodeInvalidSenderUserName:
		return `The domain does not know the part before the @: "posthorn sender add ADDRESS" adds it. donotreply is on every domain.`
	case acs.CodeInvalidEmailAddress:
		return "Check the recipient's address."
	case acs.CodeRecipientsSuppressed:
		return "The recipient is on ACS's list of addresses that bounced. ACS drops its mail for a day, and each try makes that longer: use another recipient."
	case acs.CodeDropped:
		return "ACS gave up after several tries. Check the recipient's domain, and try another recipient."
	case acs.CodeTooManyRequests:
		return "A limit of the subscription is reached. Try again later."
	case "OutcomeUnknown":
		return "Check the mailbox before you try again."
	}
	return ""
}
