package sendtest

import "github.com/posthorn/posthorn/handler/deliver/acs"

// adviceOn is what to do about a code of ACS.
func adviceOn(code string) string {
	switch code {
	case acs.CodeDenied:
		return "The identity needs the role Communication and Email Service Owner on the Communication Services resource. A new role takes some minutes to work. An access key must be that of this resource, and allowed there."
	case acs.CodeDomainNotLinked:
		return "Link the sender's domain to the Communication Services resource, or send from an address of a domain that is linked."
	case acs.CodeInvalidSenderUserName:
		return "The domain does not know the part before the @. donotreply is on every domain; add others to the domain as senders."
	case acs.CodeInvalidEmailAddress:
		return "Look at the recipient's address."
	case acs.CodeRecipientsSuppressed:
		return "The recipient is on ACS's list of addresses that bounced. ACS drops its mail for a day, and each try makes that longer: use another recipient."
	case acs.CodeDropped:
		return "ACS gave up after several tries. Look at the recipient's domain, and try another recipient."
	case acs.CodeTooManyRequests:
		return "A limit of the subscription is reached. Try again later."
	case "OutcomeUnknown":
		return "Look into the mailbox before you try again."
	}
	return ""
}
