package setup

import "ingot.dev/ingot/pxe-server/tftp"

// tftpCounts are those of all networks.
type tftpCounts struct{ sum tftp.Stats }

func (t *tftpCounts) add(s tftp.Stats) {
	t.sum.Requests += s.Requests
	t.sum.Served += s.Served
	t.sum.Bytes += s.Bytes
	t.sum.Refused += s.Refused
	t.sum.Limited += s.Limited
	t.sum.Malformed += s.Malformed
	t.sum.Failed += s.Failed
}

func (t *tftpCounts) send(send *sender) {
	send.counter(tftpRequestsDesc, t.sum.Requests)
	send.counter(tftpServedDesc, t.sum.Served)
	send.counter(tftpBytesDesc, t.sum.Bytes)
	for reason, n := range map[string]uint64{"refused": t.sum.Refused, "limited": t.sum.Limited, "malformed": t.sum.Malformed, "failed": t.sum.Failed} {
		send.counter(tftpUnservedDesc, n, reason)
	}
}
