package compose

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// supported are the attributes that the converter looks at; about all others there is
// a note. Those that the library fills in by itself are among them.
var supported = paths(`
name
version
services.*.build.context
services.*.build.dockerfile
services.*.image
services.*.command
services.*.entrypoint
services.*.environment
services.*.environment.*
services.*.env_file
services.*.env_file.[].path
services.*.env_file.[].required
services.*.expose
services.*.extends
services.*.profiles
services.*.ports.[].target
services.*.ports.[].published
services.*.ports.[].host_ip
services.*.ports.[].protocol
services.*.ports.[].mode
services.*.networks.*.ipv4_address
services.*.networks.*.ipv6_address
services.*.networks.*.mac_address
services.*.network_mode
services.*.mac_address
services.*.volumes.[].type
services.*.volumes.[].source
services.*.volumes.[].target
services.*.volumes.[].read_only
services.*.volumes.[].bind.create_host_path
services.*.volumes.[].volume
services.*.tmpfs
services.*.depends_on.*.condition
services.*.depends_on.*.required
services.*.links
services.*.healthcheck.test
services.*.healthcheck.interval
services.*.healthcheck.timeout
services.*.healthcheck.retries
services.*.healthcheck.start_period
services.*.healthcheck.disable
services.*.deploy.replicas
services.*.deploy.mode
services.*.deploy.resources.limits.cpus
services.*.deploy.resources.limits.memory
services.*.deploy.restart_policy.condition
services.*.deploy.restart_policy.max_attempts
services.*.scale
services.*.restart
services.*.cpus
services.*.mem_limit
services.*.working_dir
services.*.dns
services.*.stop_signal
services.*.platform
services.*.configs.[].source
services.*.configs.[].target
services.*.configs.[].mode
services.*.secrets.[].source
services.*.secrets.[].target
services.*.secrets.[].mode
networks.*.name
networks.*.driver
networks.*.internal
networks.*.external
networks.*.ipam.config.[].subnet
networks.*.ipam.config.[].gateway
volumes.*.name
volumes.*.driver
volumes.*.external
configs.*.name
configs.*.file
configs.*.content
configs.*.environment
configs.*.external
secrets.*.name
secrets.*.file
secrets.*.environment
secrets.*.external
secrets.*.content
`)

func paths(text string) (all []tree.Path) {
	for _, line := range strings.Fields(text) {
		all = append(all, tree.Path(line))
	}
	return all
}

// reasons say why some attributes have no counterpart, by their last word.
var reasons = map[string]string{
	"container_name":      "the instance's name follows from the service's",
	"hostname":            "a machine has its instance's name",
	"domainname":          "a machine has its instance's name",
	"user":                "a machine has one user",
	"group_add":           "a machine has one user",
	"uid":                 "a machine has one user",
	"gid":                 "a machine has one user",
	"privileged":          "a machine has nothing to be privileged over",
	"cap_add":             "a machine has nothing to be privileged over",
	"cap_drop":            "a machine has no capabilities that could be dropped",
	"security_opt":        "a machine shares no kernel with others",
	"labels":              "nobody reads them",
	"annotations":         "nobody reads them",
	"logging":             "pith logs keeps what a machine prints",
	"devices":             "a machine has its network cards and volumes",
	"ulimits":             "a machine's memory and CPUs are its limits",
	"sysctls":             "there is no Linux kernel to set them in",
	"init":                "there is one process",
	"pid":                 "there is one process",
	"ipc":                 "there is one process",
	"tty":                 "an instance of a deployment has no terminal",
	"stdin_open":          "an instance of a deployment has no terminal",
	"read_only":           "what isn't on a volume is gone with the machine anyway",
	"shm_size":            "there is one process",
	"pull_policy":         "programs are built, not pulled",
	"stop_grace_period":   "a program has 10 s to end",
	"extra_hosts":         "write a config with target /etc/hosts, or name a DNS server",
	"aliases":             "a service has its own name only",
	"develop":             "pith dev rebuilds and replaces on save",
	"reservations":        "a machine has what its limits say",
	"post_start":          "no command runs inside a machine",
	"pre_stop":            "no command runs inside a machine",
	"start_interval":      "a starting instance is asked five times a second",
	"restart":             "an instance runs on when what it needs is replaced",
	"delay":               "restarts are 0.1 s to 30 s apart",
	"window":              "an instance that lived for 10 s begins anew",
	"update_config":       "replicas are replaced one after another",
	"rollback_config":     "an update that fails goes back by itself",
	"placement":           "there is one host",
	"pids_limit":          "there is one process",
	"pids":                "there is one process",
	"memswap_limit":       "a machine doesn't swap",
	"mem_reservation":     "a machine has what its limits say",
	"attachable":          "other deployments don't reach into this one's networks",
	"enable_ipv6":         "a network has the families of its subnets",
	"enable_ipv4":         "a network has the families of its subnets",
	"driver_opts":         "a network or volume has no drivers to choose from",
	"jobs":                "a service with restart: \"no\" is one",
	"models":              "there is nothing like it",
	"target":              "the Go program is built as it is",
	"cache_from":          "the Go program is built as it is",
	"additional_contexts": "the Go program is built as it is",
}
