import Catalog
import ControlAPI
import Core
import Generations
import Logging
import Tokenizer

/// Carries out what `IngestMachine` decides: the only task that brings indexes forward and changes which generations are
/// at work, one action after another.
struct IngestLoop: Sendable {
    let catalog: CatalogWatch
    let supervisor: GenerationSupervisor
    let requests: IngestRequests
    let state: DaemonState
    let logger: Logger
    /// Milliseconds since 1970.
    let now: @Sendable () -> Int

    /// Runs until cancelled.
    ///
    /// - Parameter opened: the generations that `GenerationSupervisor.openAll` opened.
    /// - Throws: a failure after which the process must not continue (`Failure.isFatal`).
    func run(_ opened: [GenerationSupervisor.Opened]) async throws {
        defer { requests.close() }
        var work = Work()
        for one in opened {
            work.machine.opened(one)
        }
        do {
            while true {
                try Task.checkCancellation()
                try takeRequests(&work)
                let action = work.machine.next(now: .now)
                do {
                    try await carryOut(action, &work)
                } catch let error where !(error is CancellationError) && !isFatal(error) {
                    report(error, of: action, &work)
                }
            }
        } catch is CancellationError {
            return
        } catch {
            logger.critical("a write failed, letterd ends", metadata: ["error": "\(error)"])
            throw error
        }
    }

    /// What the loop keeps between two actions.
    private struct Work {
        var machine = IngestMachine()
        /// Catch-ups under way, by generation.
        var catchUps: [Int: CatchUp] = [:]
        /// The last failure of each generation, for the callers that wait for it.
        var failures: [Int: any Error] = [:]
    }

    private func takeRequests(_ work: inout Work) throws {
        for request in try requests.take() {
            switch request {
            case .adopt(let number): work.machine.request(.init(generation: number, kind: .adopt))
            case .promote(let number, let id): work.machine.request(.init(generation: number, kind: .promote(id)))
            case .confirmDeletions(let id): requests.answerConfirmation(id, work.machine.confirmDeletions())
            }
        }
    }

    private func carryOut(_ action: IngestMachine.Action, _ work: inout Work) async throws {
        switch action {
        case .poll:
            if let took = try await catalog.verify() {
                logger.notice("the catalog was verified", metadata: ["took": "\(took.seconds)"])
            }
            let version = try await catalog.poll().version
            if state.note(.catalog, nil) { logger.info("the catalog can be read") }
            work.machine.polled(version)
        case .open(let number):
            work.machine.opened(
                try await supervisor.open(number, toPromote: work.machine.promotion?.generation == number))
        case .advance(let number, let confirmed):
            let advance = try await self.advance(number, confirmed: confirmed, &work)
            work.machine.advanced(number, advance)
        case .settle(let number):
            work.machine.settled(number, isActive: try await supervisor.settle(number))
        case .activate(let number):
            try await supervisor.activate(number)
            work.machine.activated(number)
        case .close(let number):
            work.catchUps[number] = nil
            try await supervisor.close(number)
        case .examine(let number):
            // Whatever comes of it, it is not repeated.
            work.machine.examined(number)
            try await supervisor.examine(number)
        case .markFailed(let number):
            try await supervisor.markFailed(number, work.failures[number])
        case .answer(let id, let answer):
            requests.answer(id, result(answer, work.failures))
        case .wait(let version, let time):
            await catalog.wait(for: version, until: time)
            work.machine.woke(now: .now)
        }
    }

    private func result(_ answer: IngestMachine.Answer, _ failures: [Int: any Error]) -> Result<Void, any Error> {
        switch answer {
        case .done: .success(())
        case .isBuilding(let number): .failure(DaemonError.cannotAnswer(number, .building))
        case .failed(let number): .failure(failures[number] ?? DaemonError.cannotAnswer(number, .failed))
        }
    }

    /// Begins or continues a catch-up by one chunk.
    private func advance(_ number: Int, confirmed: Int, _ work: inout Work) async throws -> IngestMachine.Advance {
        let now = state.now
        guard let pipeline = now.pipeline(number) else { throw DaemonError.cannotAnswer(number, .retired) }
        if let format = now.format, format.dimension != pipeline.model.inputWidth {
            throw DaemonError.dimensions(
                of: "Generation \(number)", pipeline.model.inputWidth, catalog: format.dimension)
        }
        let isFirst = pipeline.progress.cursor == nil && now.active == nil
        let catchUp =
            work.catchUps[number]
            ?? CatchUp(
                pipeline, catalog, confirmed: confirmed,
                largestChunk: isFirst ? CatchUp.firstBuildItems : CatchUp.chunkItems)
        work.catchUps[number] = catchUp
        let advance = try await catchUp.advance(now: self.now())
        switch advance {
        case .more: return advance
        case .finished:
            if state.note(.generation(number), nil) {
                logger.info("the generation follows the catalog again", metadata: ["generation": "\(number)"])
            }
        case .held(let held):
            let error = DaemonError.held(held, of: number)
            if state.note(.generation(number), error) {
                logger.error("deletions wait for confirmation", metadata: ["error": "\(error)"])
            }
        }
        work.catchUps[number] = nil
        if let result = catchUp.result { record(result, of: number) }
        return advance
    }

    /// Publishes what a catch-up did.
    private func record(_ result: Reconciliation, of number: Int) {
        state.change { state in
            state.recordsCompared += result.changes.scanned
            if result.fault == nil {
                state.incrementalBatches += 1
            } else {
                state.fullScans += 1
                state.lastScan = result.scan
                state.lastScanned = result.changes.scanned
            }
            // The snapshot may be newer than the last poll; what is seen is then what is answered.
            if let seen = state.seen, result.changes.version.covers(seen) { state.seen = result.changes.version }
        }
        logger.debug("reconciled", metadata: result.metadata.merging(["generation": "\(number)"]) { $1 })
    }

    /// Reports a failure to the machine, the log and the status.
    private func report(_ error: any Error, of action: IngestMachine.Action, _ work: inout Work) {
        func note(_ number: Int, _ message: Logger.Message) {
            work.failures[number] = error
            work.catchUps[number] = nil
            if state.note(.generation(number), error) {
                logger.error(message, metadata: ["generation": "\(number)", "error": "\(error)"])
            }
        }
        switch action {
        case .poll:
            unreadable(error, &work)
        case .advance(let number, _) where error is CatalogError:
            work.failures[number] = error
            unreadable(error, &work)
        case .advance(let number, _):
            note(number, "the generation cannot follow the catalog")
            work.machine.advanceFailed(number, .generation, now: .now)
        case .open(let number):
            note(number, "the generation cannot be opened")
            work.machine.openFailed(number)
        case .settle(let number):
            note(number, "the generation cannot be settled")
            work.machine.settleFailed(number, now: .now)
        case .activate(let number):
            note(number, "the generation cannot become active")
            work.machine.activateFailed(number)
        case .close, .examine, .markFailed, .answer, .wait:
            logger.error("ingest failed to \(action)", metadata: ["error": "\(error)"])
        }
    }

    private func unreadable(_ error: any Error, _ work: inout Work) {
        work.catchUps = [:]
        if let promotion = work.machine.promotion {
            logger.warning(
                "promoted without the latest changes of the catalog",
                metadata: ["generation": "\(promotion.generation)", "error": "\(error)"])
        }
        if error is CatalogError { state.change { $0.seen = nil } }
        if state.note(.catalog, error) { logger.error("the ingest pauses", metadata: ["error": "\(error)"]) }
        work.machine.pollFailed(now: .now)
    }

    /// Whether the process must end. Whatever fails so, a later success proves nothing about what was lost.
    private func isFatal(_ error: any Error) -> Bool { (error as? any Failure)?.isFatal ?? false }
}

extension IngestMachine {
    fileprivate mutating func opened(_ one: GenerationSupervisor.Opened) {
        opened(
            one.pipeline.number, answered: one.pipeline.progress.cursor?.version, isComplete: one.isComplete,
            isSettled: one.isSettled, isActive: one.isActive)
    }
}
