package main

func reportProbes() []probe {
	return []probe{
		{id: "P13", question: "What do delivery reports look like, and when do they come?", mails: 2, minutes: 13, to: 1, changes: "sends one mail that fails, which counts in the failure rate", ask: askReports, answers: []probeOutcome{
			{word: "timestamp", means: "Reports have deliveryAttemptTimestamp, as Posthorn's emulator writes it."},
			{word: "time-stamp", means: "Reports have deliveryAttemptTimeStamp, as the documentation has it."},
			{word: "neither", means: "Reports have neither spelling of the time."}}},
		{id: "P14", question: "Are Event Grid's messages in a storage queue in Base64?", minutes: 1, ask: askEncoding, answers: []probeOutcome{
			{word: "base64", means: "messageEncoding in host.json is right."},
			{word: "plain", means: "messageEncoding in host.json must be none, or every report becomes poison."}}},
		{id: "P17", question: "What becomes of a message to an address of an own suppression list?", mails: 2, minutes: 5, to: 1, changes: "makes a suppression list on the sender's domain for some minutes, and deletes it", ask: askSuppressed, answers: []probeOutcome{
			{word: "failed", means: "The operation fails, so the caller can be told."},
			{word: "succeeded", means: "Only a delivery report tells it."},
			{word: "refused", means: "The call is refused, so the caller is told at once."}}},
	}
}

// otherLogin is how a probe is asked with another login.
const otherLogin = "Make an app without any role: az ad sp create-for-rbac. Log in as it: az login --service-principal. Run \"posthorn doctor --probe --only P9\"."

func rightProbes() []probe {
	return []probe{
		{id: "P9", question: "What does a login without the role get from ACS?", minutes: 1, alone: true, steps: otherLogin, ask: askWithoutRole, answers: []probeOutcome{
			{word: "401", means: "As Posthorn has it: acs-misconfigured."},
			{word: "403", means: "As Posthorn has it: acs-misconfigured."}}},
		{id: "P9.wait", question: "How long until a new role works?", minutes: 30, alone: true, after: "P9", ask: askNewRole, answers: []probeOutcome{
			{word: "1m", means: "A new deployment sends within a minute."},
			{word: "5m", means: "A new deployment sends within five minutes."},
			{word: "15m", means: "A new deployment sends within a quarter of an hour."},
			{word: "30m", means: "A new deployment sends within half an hour."},
			{word: "longer", means: "A new deployment answers acs-misconfigured for longer than half an hour."}}},
		{id: "P16", question: "Does a role of your own send, without CommunicationServices/Write?",
			steps: "Make a role with the actions Microsoft.Communication/CommunicationServices/Read and Microsoft.Communication/EmailServices/write. Assign it to an app on the Communication Services resource, and send as that app.",
			answers: []probeOutcome{
				{word: "sends", means: "Give the id of that role to the deployment as the parameter sendRoleId."},
				{word: "refused", means: "Leave sendRoleId empty: Communication and Email Service Owner on the one resource."}}},
		{id: "P20", question: "Does a PUT of a Communication Services resource without linkedDomains empty the list?", minutes: 10, changes: "makes a Communication Services resource and an Email Service of its own in the group, and deletes them", ask: askPut, answers: []probeOutcome{
			{word: "empties", means: "A deployment must repeat every linked domain. Posthorn's template does."},
			{word: "keeps", means: "A deployment that forgets the list does no harm."}}},
	}
}

func hostProbes() []probe {
	return []probe{
		{id: "P18", question: "Does a message in the dispatch queue wake an app that has scaled to zero?",
			steps: "Wait until the app has no instance (20 minutes without a call). Let a caller's message wait, such as one that is due later. Look when it is sent.",
			answers: []probeOutcome{
				{word: "wakes", means: "What waits is sent on time."},
				{word: "late", means: "What waits is late: set one always-ready instance."},
				{word: "sleeps", means: "What waits is not sent: set one always-ready instance."}}},
		{id: "P19", question: "What does a caller get when the handler dies in its request?",
			steps: "In a deployment for tests, end the handler while a request is read: its log has the process id, the console of the app can end it.",
			answers: []probeOutcome{
				{word: "502", means: "Clients of ACS repeat it."}, {word: "500", means: "Clients of ACS repeat it."},
				{word: "503", means: "Clients of ACS repeat it."}, {word: "cut", means: "Clients see a lost connection."}}},
	}
}
