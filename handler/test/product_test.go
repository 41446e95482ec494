package test

import (
	"testing"

	"github.com/posthorn/posthorn/handler/test/world"
)

const root = "../.."

// TestProduct holds all tests, so that the programs are built once and Azurite
// starts once.
func TestProduct(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts programs, in which the race detector is not")
	}
	p := &product{world.NewProduct(t)}
	t.Run("wrong settings", p.testWrongSettings)
	t.Run("the size of the handler", p.testSize)
	t.Run("with storage", func(t *testing.T) {
		p.OpenStorage(t)
		// First, while the ledger that all share is empty.
		t.Run("the quota holds", p.testQuota)
		t.Run("together", p.testTogether)
		// Last, since this closes the storage for all.
		t.Run("storage goes away", p.testStorageAway)
	})
}

func (p *product) testTogether(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"accidents", p.testAccidents}, // waits longest, so it begins first
		{"answers that ACS does not give", p.testNoAnswer},
		{"callers", p.testCallers},
		{"commands that cannot work", p.testWrongCommands},
		{"webhooks of all senders", p.testWebhooks},
		{"hooks", p.testHooks},
		{"hooks as the pages have them", p.testHookPages},
		{"hooks that cannot work", p.testWrongHooks},
		{"a form", p.testForm},
		{"a message is sent", p.testSend},
		{"a repeat is harmless", p.testRepeat},
		{"a file that does not fit", p.testFile},
		{"the official client for JavaScript", p.testJavaScript},
		{"the page of ACS's SDKs", p.testAzureSDKPage},
		{"the official client with a token", p.testTokenOfTheClient},
		{"signed requests behind the Functions host", p.testSignedBehindHost},
		{"tokens of Entra ID", p.testTokens},
		{"the page of Logic Apps", p.testLogicAppsPage},
		{"clients of other services", p.testOtherClients},
		{"clients of other services, without quota", p.testOtherClientsWithoutQuota},
		{"batches of other services' clients", p.testBatchesOfClients},
		{"what the pages of clients show", p.testPagesOfClients},
		{"a body that is cut off", p.testCutOff},
		{"a caller that closes its side", p.testHalfClosed},
		{"a caller that goes away", p.testGoneAway},
		{"callers that hang up", p.testHangUps},
		{"a message that ACS refuses", p.testRefusals},
		{"ACS asks to wait", p.testACSBusy},
		{"ACS is down", p.testACSDown},
		{"a handler that is killed", p.testKilled},
		{"requests that are wrong", p.testWrongRequests},
		{"naughty strings", p.testNaughtyStrings},
		{"messages that wait", p.testWaiting},
		{"messages that wait, for their operator", p.testMessages},
		{"a test message of the operator", p.testSendTest},
		{"stolen tables", p.testStolenTables},
		{"a wake-up message that failed too often", p.testPoisonedWakeUp},
		{"the address that it listens at", p.testListen},
		{"the version", p.testVersion},
		{"an end with a request under way", p.testDrain},
		{"an answer before the end of a large body", p.testEarlyAnswer},
		{"two handlers on one machine", p.testTwoHandlers},
		{"idle memory", p.testIdleMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t)
		})
	}
}

// product has the tests for methods.
type product struct{ *world.Product }

// deployment is a world with the assertions of these tests.
type deployment struct{ *world.World }

func newDeployment(tb testing.TB, p *product, o world.Options) *deployment {
	tb.Helper()
	return &deployment{world.New(tb, p.Product, o)}
}
