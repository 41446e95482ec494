package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are what the stand-in heeds of host.json.
type settings struct {
	executable      string
	initialization  time.Duration
	functionTimeout time.Duration
	routePrefix     string
	maxBody         int64 // bytes
	queues          queueSettings
}

// queueSettings are extensions.queues of host.json.
type queueSettings struct {
	batch           int
	threshold       int // the next batch is asked for when no more are under way
	maxDequeueCount int
	hiddenAfterFail time.Duration
	maxPolling      time.Duration
}

// span is .NET's TimeSpan in the form hh:mm:ss.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	t, err := time.Parse("15:04:05", string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time span of the form hh:mm:ss", text)
	}
	*s = span(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
	return nil
}

// hostFile is host.json with the host's defaults filled in before it is read.
type hostFile struct {
	Version         string `json:"version"`
	FunctionTimeout span   `json:"functionTimeout"`
	CustomHandler   struct {
		Description struct {
			DefaultExecutablePath string `json:"defaultExecutablePath"`
		} `json:"description"`
		EnableProxyingHTTPRequest bool `json:"enableProxyingHttpRequest"`
		InitializationTimeout     span `json:"initializationTimeout"`
	} `json:"customHandler"`
	Extensions struct {
		HTTP struct {
			RoutePrefix string `json:"routePrefix"`
		} `json:"http"`
		Queues struct {
			MessageEncoding    string `json:"messageEncoding"`
			BatchSize          int    `json:"batchSize"`
			NewBatchThreshold  *int   `json:"newBatchThreshold"`
			MaxDequeueCount    int    `json:"maxDequeueCount"`
			VisibilityTimeout  span   `json:"visibilityTimeout"`
			MaxPollingInterval span   `json:"maxPollingInterval"`
		} `json:"queues"`
	} `json:"extensions"`
}

func readSettings(dir string, env []string) (settings, error) {
	var f hostFile
	f.FunctionTimeout = span(30 * time.Minute)
	f.CustomHandler.InitializationTimeout = span(30 * time.Second)
	f.Extensions.HTTP.RoutePrefix = "api"
	q := &f.Extensions.Queues
	q.MessageEncoding, q.BatchSize, q.MaxDequeueCount, q.MaxPollingInterval = "base64", 16, 5, span(time.Minute)
	if err := readJSON(filepath.Join(dir, "host.json"), &f); err != nil {
		return settings{}, err
	}
	switch {
	case f.Version != "2.0":
		return settings{}, errors.New(`host.json: version must be "2.0"`)
	case f.CustomHandler.Description.DefaultExecutablePath == "":
		return settings{}, errors.New("host.json: customHandler.description.defaultExecutablePath is missing")
	case !f.CustomHandler.EnableProxyingHTTPRequest:
		return settings{}, errors.New("host.json: customHandler.enableProxyingHttpRequest must be true, else the host does not stream")
	case q.MessageEncoding != "base64":
		return settings{}, errors.New("host.json: extensions.queues.messageEncoding must be base64")
	}
	maxBody, err := bodyLimit(env)
	if err != nil {
		return settings{}, err
	}
	if q.NewBatchThreshold == nil {
		q.NewBatchThreshold = new(q.BatchSize / 2) // source: QueuesOptions.cs
	}
	return settings{
		executable:      filepath.Join(dir, f.CustomHandler.Description.DefaultExecutablePath),
		initialization:  time.Duration(f.CustomHandler.InitializationTimeout),
		functionTimeout: time.Duration(f.FunctionTimeout),
		routePrefix:     strings.Trim(f.Extensions.HTTP.RoutePrefix, "/"),
		maxBody:         maxBody,
		queues: queueSettings{
			batch:           q.BatchSize,
			threshold:       *q.NewBatchThreshold,
			maxDequeueCount: q.MaxDequeueCount,
			hiddenAfterFail: time.Duration(q.VisibilityTimeout),
			maxPolling:      time.Duration(q.MaxPollingInterval),
		},
	}, nil
}

// bodyLimit is MaxRequestBodyBytes, or what the environment says instead.
func bodyLimit(env []string) (int64, error) {
	const name = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
	text := expand("%"+name+"%", env)
	if text == "%"+name+"%" || text == "" {
		return MaxRequestBodyBytes, nil
	}
	limit, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of bytes", name, text)
	}
	return limit, nil
}

// function is one NAME/function.json: exactly one of route, timer, queue is set.
type function struct {
	name         string
	binding      string // name of the trigger binding
	route        []string
	methods      []string // upper case; empty: all
	timer        *schedule
	runOnStartup bool
	queue        string
}

type binding struct {
	Type         string   `json:"type"`
	Direction    string   `json:"direction"`
	Name         string   `json:"name"`
	Route        *string  `json:"route"`
	Methods      []string `json:"methods"`
	Schedule     string   `json:"schedule"`
	RunOnStartup bool     `json:"runOnStartup"`
	QueueName    string   `json:"queueName"`
}

// readFunctions reads every NAME/function.json below dir, sorted by name.
func readFunctions(dir string, env []string) ([]function, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "function.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no NAME/function.json", dir)
	}
	all := make([]function, len(files))
	for i, file := range files {
		all[i], err = readFunction(file, filepath.Base(filepath.Dir(file)), env)
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readFunction(file, name string, env []string) (function, error) {
	var doc struct {
		Bindings []binding `json:"bindings"`
	}
	if err := readJSON(file, &doc); err != nil {
		return function{}, err
	}
	f, err := newFunction(name, doc.Bindings, env)
	if err != nil {
		return function{}, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}

var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

func newFunction(name string, bindings []binding, env []string) (function, error) {
	if !functionName.MatchString(name) {
		return function{}, fmt.Errorf("%q cannot name a function", name)
	}
	if len(bindings) == 0 || bindings[0].Direction != "in" {
		return function{}, errors.New("the first binding must be the trigger")
	}
	in := bindings[0]
	f := function{name: name, binding: in.Name, runOnStartup: in.RunOnStartup}
	var err error
	switch in.Type {
	case "httpTrigger":
		if len(bindings) != 2 || bindings[1].Type != "http" || bindings[1].Direction != "out" {
			return function{}, errors.New("an HTTP function needs one http output and nothing else, or the host changes to its JSON protocol")
		}
		f.route, f.methods = splitRoute(name, in.Route), upper(in.Methods)
		return f, nil
	case "timerTrigger":
		f.timer, err = parseSchedule(expand(in.Schedule, env))
	case "queueTrigger":
		f.queue = expand(in.QueueName, env)
	default:
		err = fmt.Errorf("the stand-in does not know the trigger %q", in.Type)
	}
	if err == nil && len(bindings) != 1 {
		err = errors.New("the stand-in serves no outputs of a trigger function")
	}
	return f, err
}

func splitRoute(name string, route *string) []string {
	if route == nil {
		return []string{name}
	}
	return strings.Split(strings.Trim(*route, "/"), "/")
}

func upper(methods []string) []string {
	all := make([]string, len(methods))
	for i, m := range methods {
		all[i] = strings.ToUpper(m)
	}
	return all
}

// expand replaces %NAME% by the setting of that name, as the host does in
// queueName and schedule.
func expand(s string, env []string) string {
	name, ok := strings.CutPrefix(s, "%")
	if !ok || !strings.HasSuffix(name, "%") {
		return s
	}
	name = strings.TrimSuffix(name, "%") + "="
	for _, e := range slices.Backward(env) { // of two the last counts, as for a process
		if value, ok := strings.CutPrefix(e, name); ok {
			return value
		}
	}
	return s
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", file)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
