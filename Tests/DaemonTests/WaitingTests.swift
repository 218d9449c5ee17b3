import Core
import Synchronization
import Testing

@testable import Daemon

/// Callers that wait for the ingest: none waits longer than the loop or its own task lives.
@Suite("Waiting for the ingest") struct WaitingTests {
    @Test("A request that comes after the loop has ended is refused at once", .timeLimit(.minutes(1)))
    func closed() async {
        let requests = IngestRequests {}
        requests.close()
        await #expect(throws: CancellationError.self) { try await requests.promote(1) }
    }

    @Test("A request that is there when the loop ends is let go", .timeLimit(.minutes(1)))
    func closing() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let requests = IngestRequests { arrival.yield() }
        let caller = Task { try await requests.promote(1) }
        for await _ in arrived { break }
        #expect(try requests.take().count == 1)
        requests.close()
        await #expect(throws: CancellationError.self) { try await caller.value }
    }

    @Test(
        "A caller that is cancelled is let go, before or after its request was taken", .timeLimit(.minutes(1)),
        arguments: [false, true])
    func cancelled(isTaken: Bool) async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let requests = IngestRequests { arrival.yield() }
        let caller = Task { try await requests.promote(1) }
        for await _ in arrived { break }
        if isTaken { #expect(try requests.take().count == 1) }
        caller.cancel()
        await #expect(throws: CancellationError.self) { try await caller.value }
        #expect(try requests.take().isEmpty, "a caller that has gone is not served")
        // The loop may still answer it.
        requests.answer(0, .success(()))
    }

    @Test("An answer reaches the caller that asked", .timeLimit(.minutes(1)))
    func answered() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let requests = IngestRequests { arrival.yield() }
        async let first: Void = requests.promote(1)
        for await _ in arrived { break }
        guard case .promote(1, let id) = try #require(try requests.take().first) else {
            Issue.record("another request came")
            return
        }
        requests.answer(id, .success(()))
        try await first
    }

    @Test("A failure that must end the process ends the loop at its next step")
    func fatal() async throws {
        struct Lost: Failure {
            let code = "test.lost", message = "", remedy = ""
            let kind = FailureKind.unavailable
            let cause: (any Error)? = nil
            let isFatal = true
        }
        let requests = IngestRequests {}
        await #expect(throws: Lost.self) { try await requests.endingIfFatal { throw Lost() } }
        #expect(throws: Lost.self) { try requests.take() }
    }

    private final class Flag: Sendable {
        let isSet = Mutex(false)
        var value: Bool { isSet.withLock { $0 } }
    }

    @Test("An index is closed after the last read of it, and no read begins after that", .timeLimit(.minutes(1)))
    func gate() async {
        let gate = ReadGate()
        #expect(gate.enter())
        #expect(gate.enter())
        let flag = Flag()
        let closing = Task {
            await gate.close()
            flag.isSet.withLock { $0 = true }
        }
        while gate.enter() {
            gate.leave()
            await Task.yield()
        }
        gate.leave()
        #expect(!flag.value)
        gate.leave()
        await closing.value
        #expect(!gate.enter())
    }

    @Test("A wait for the state ends with the change that it waits for, and not with another", .timeLimit(.minutes(1)))
    func state() async throws {
        let state = DaemonState()
        async let reached = state.wait(until: .now + .seconds(50)) { $0.fullScans == 2 }
        state.change { $0.fullScans = 1 }
        state.change { $0.recordsCompared = 5 }
        state.change { $0.fullScans = 2 }
        let snapshot = try #require(try await reached)
        #expect(snapshot.fullScans == 2 && snapshot.recordsCompared == 5)
    }

    @Test("A wait for the state ends at its deadline, and when its caller is cancelled", .timeLimit(.minutes(1)))
    func deadline() async throws {
        let state = DaemonState()
        #expect(try await state.wait(until: .now + .milliseconds(20)) { _ in false } == nil)
        let caller = Task { try await state.wait(until: .now + .seconds(50)) { _ in false } }
        caller.cancel()
        await #expect(throws: CancellationError.self) { _ = try await caller.value }
    }
}
