package agentserver

import (
	"context"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
)

// ReportTask takes how a task fares, from the one boot that it was given to.
func (s *Server) ReportTask(ctx context.Context, r *protocol.ReportTaskRequest) (*protocol.ReportTaskResponse, error) {
	who := callerOf(ctx)
	report := desk.Report{ID: claims.Text(r.GetId(), 63), Generation: r.GetGeneration()}
	if report.ID == "" || report.Generation < 1 {
		return nil, refuse(codeInvalid, "", "the id or the generation of the task is missing")
	}
	var err error
	if report.Progress, err = claims.Progress(r.GetProgress()); err != nil {
		return nil, refuse(codeInvalid, "", err.Error())
	}
	if report.Receipt, err = claims.Receipt(r.GetReceipt()); err != nil {
		return nil, refuse(codeInvalid, "", err.Error())
	}
	if err := s.answer(ctx, protocol.Agent_ReportTask_FullMethodName, who.server, s.desk.Report(ctx, who.Caller, who.server, report)); err != nil {
		return nil, err
	}
	if report.Receipt != nil {
		s.cfg.Log.Info("Recorded a receipt", "server", who.server, "bootID", who.BootID, "task", report.ID, "generation", report.Generation)
	}
	return &protocol.ReportTaskResponse{}, nil
}
