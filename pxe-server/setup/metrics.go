package setup

import (
	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ingot_pxe_"+name, help, labels, nil)
}

// What the metrics are called; docs/metrics.md lists them. Labels come from fixed lists: nothing that a machine says is one.
var (
	connectedDesc = desc("controller_connected", "1 while the controller is heard, 0 while the site is isolated.")
	heardDesc     = desc("controller_heard_timestamp_seconds", "When the controller was heard last, in seconds since 1970; 0 for never.")
	serversDesc   = desc("view_servers", "Servers that the controller told of.")
	waitingDesc   = desc("boot_events_waiting", "What was seen of boots and not told to the controller yet.")
	droppedDesc   = desc("boot_events_dropped_total", "What was seen of boots and will not be told, since too much waited.")

	dhcpReceivedDesc  = desc("dhcp_packets_total", "DHCP packets that came, by IP version.", "version")
	dhcpRepliesDesc   = desc("dhcp_replies_total", "DHCP packets that were sent in answer, by IP version and type.", "version", "type")
	dhcpSilentDesc    = desc("dhcp_unanswered_total", "DHCP packets that got no answer, by IP version and reason.", "version", "reason")
	dhcpProbesDesc    = desc("dhcp_probes_total", "Addresses that were probed before they were given.")
	dhcpConflictsDesc = desc("dhcp_probe_conflicts_total", "Probed addresses that somebody used already.")
	routerDesc        = desc("router_answers_total", "Router solicitations of booting machines that were answered.")

	tftpRequestsDesc = desc("tftp_requests_total", "TFTP requests that came.")
	tftpServedDesc   = desc("tftp_served_total", "TFTP transfers that were completed.")
	tftpBytesDesc    = desc("tftp_bytes_total", "Bytes of files sent over TFTP.")
	tftpUnservedDesc = desc("tftp_unserved_total", "TFTP requests that came to nothing, by reason.", "reason")

	scriptsDesc = desc("scripts_total", "Boot scripts by what they start; Limited for those that were not made, since too many were asked for.", "target")
	filesDesc   = desc("files", "Boot files of Environments, by how they fare in this site's cache.", "state")
)

// metrics reads everything when it is asked.
type metrics struct{ s *server }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connectedDesc, heardDesc, serversDesc, waitingDesc, droppedDesc, dhcpReceivedDesc, dhcpRepliesDesc, dhcpSilentDesc, dhcpProbesDesc, dhcpConflictsDesc, routerDesc,
		tftpRequestsDesc, tftpServedDesc, tftpBytesDesc, tftpUnservedDesc, scriptsDesc, filesDesc,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	send := &sender{out}
	m.view(send)
	var four, six family
	var probes, conflicts, routers uint64
	var t tftpCounts
	for _, n := range m.s.segments {
		if n.dhcp != nil {
			st := n.dhcp.Stats()
			four.add(st.Received, map[string]uint64{"offer": st.Offers, "ack": st.Acks, "nak": st.Naks})
			addReasons(&four, st.Silent)
			probes, conflicts = probes+st.Probes, conflicts+st.Conflicts
		}
		if n.dhcp6 != nil {
			st := n.dhcp6.Stats()
			six.add(st.Received, map[string]uint64{"advertise": st.Advertises, "reply": st.Replies})
			addReasons(&six, st.Silent)
		}
		if n.solicit != nil {
			routers += n.solicit.Answered()
		}
		if n.tftp != nil {
			t.add(n.tftp.Stats())
		}
	}
	four.send(send, "4")
	six.send(send, "6")
	send.counter(dhcpProbesDesc, probes)
	send.counter(dhcpConflictsDesc, conflicts)
	send.counter(routerDesc, routers)
	t.send(send)
}

// view is what the site knows of the controller, of boots and of files.
func (m *metrics) view(send *sender) {
	w := m.s.client.Word()
	events, _ := m.s.events.Waiting()
	connected, heard := 0.0, 0.0
	if w.Connected {
		connected = 1
	}
	if w.View != nil {
		heard = float64(w.Heard.UnixMilli()) / 1000
	}
	send.gauge(connectedDesc, connected)
	send.gauge(heardDesc, heard)
	send.gauge(serversDesc, float64(len(w.View.GetServers())))
	send.gauge(waitingDesc, float64(len(events)))
	send.counter(droppedDesc, m.s.events.Dropped())
	for target, n := range m.s.events.Scripts() {
		send.counter(scriptsDesc, n, target)
	}
	files := map[string]float64{}
	if m.s.blobs != nil {
		for _, st := range m.s.blobs.States() {
			files[st.Phase]++
		}
	}
	for state, n := range files {
		send.gauge(filesDesc, n, state)
	}
}

// sender sends samples.
type sender struct{ out chan<- prometheus.Metric }

func (s *sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s *sender) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// family is what was counted of one IP version on all networks.
type family struct {
	any             bool
	received        uint64
	replies, silent map[string]uint64
}

func (f *family) add(received uint64, replies map[string]uint64) {
	if !f.any {
		f.any, f.replies, f.silent = true, map[string]uint64{}, map[string]uint64{}
	}
	f.received += received
	for t, n := range replies {
		f.replies[t] += n
	}
}

func addReasons[R ~string](f *family, silent map[R]uint64) {
	for why, n := range silent {
		f.silent[string(why)] += n
	}
}

func (f *family) send(send *sender, version string) {
	if !f.any {
		return
	}
	send.counter(dhcpReceivedDesc, f.received, version)
	for t, n := range f.replies {
		send.counter(dhcpRepliesDesc, n, version, t)
	}
	for why, n := range f.silent {
		send.counter(dhcpSilentDesc, n, version, why)
	}
}
