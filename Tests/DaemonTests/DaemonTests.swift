import ControlAPI
import Core
import Dispatch
import IdentifierIndex
import SQLiteStore
import Testing

@testable import Daemon

/// Hazards of threads and lifetimes, with the daemon's real components.
@Suite("The daemon's threads", .timeLimit(.minutes(1))) struct DaemonTests {
    @Test("A comparison with the catalog does not wait for the thread that dumps and proofs share")
    func comparesBesideDumps() async throws {
        let daemon = try InProcessDaemon(items: 200)
        try await daemon.running {
            try await daemon.publish(seed: 1)
            let pipeline = try #require(daemon.state.now.active)
            // A dump that takes as long as it likes.
            let end = DispatchSemaphore(value: 0)
            daemon.service.dumps.start { end.wait() }
            defer { end.signal() }
            guard case .good = try await daemon.service.compare(pipeline) else {
                Issue.record("the comparison found a difference")
                return
            }
            // The catalog's thread is free.
            #expect(try await daemon.service.waitCaughtUp(timeout: .seconds(30)).items == 200)
        }
    }

    @Test("A generation is opened and promoted while every thread that answers lookups is busy")
    func opensBesideLookups() async throws {
        let daemon = try InProcessDaemon(items: 50, readers: 1)
        try await daemon.running {
            try await daemon.publish(seed: 1)
            try await daemon.publish(seed: 2)
            try await daemon.requests.promote(2)
            let end = DispatchSemaphore(value: 0)
            daemon.service.answers.start { end.wait() }
            defer { end.signal() }
            try await daemon.requests.promote(1)
            #expect(daemon.state.now.active?.number == 1)
        }
    }

    @Test("A retired generation's index is closed cleanly, so that returning to it needs no check")
    func closesRetired() async throws {
        let daemon = try InProcessDaemon(items: 50)
        try await daemon.running {
            try await daemon.publish(seed: 1)
            try await daemon.publish(seed: 2)
            let first = try #require(daemon.state.now.active)
            try await daemon.requests.promote(2)
            // The answer comes before the index is closed.
            let closed = try await daemon.state.wait(until: .now + .seconds(30)) { $0.retired.isEmpty }
            #expect(closed != nil)
            #expect(try await first.read(on: daemon.service.answers) { try $0.count() } == nil)
            try await daemon.requests.promote(1)
            let back = try #require(daemon.state.now.active)
            #expect(back.number == 1 && back !== first)
            #expect(!back.index.opening.wasUnclean)
        }
    }

    @Test("Lookups go on while generations change: each is answered by one that is active")
    func answersWhilePromoting() async throws {
        let daemon = try InProcessDaemon(items: 50, readers: 2)
        try await daemon.running {
            try await daemon.publish(seed: 1)
            try await daemon.publish(seed: 2)
            let ids = (0..<50).map { ItemID(unchecked: Array("item-\($0)".utf8)) }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        var count = 0
                        while !Task.isCancelled {
                            let answer = try await daemon.service.items(ids)
                            #expect(answer.items.allSatisfy { $0.codes != nil && $0.generation == answer.generation })
                            count += 1
                        }
                        return count
                    }
                }
                for round in 0..<6 { try await daemon.requests.promote(round % 2 == 0 ? 2 : 1) }
                group.cancelAll()
                for try await count in group { #expect(count > 0) }
            }
        }
    }

    @Test("A promotion that is asked for as the ingest ends, or after it, is refused and not kept waiting")
    func endsDuringPromotion() async throws {
        let daemon = try InProcessDaemon(items: 50)
        let requests = daemon.requests
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let caller = Task {
            for await _ in started { break }
            // Until the ingest has ended.
            while true { for number in [2, 1] { try await requests.promote(number) } }
        }
        try await daemon.running {
            try await daemon.publish(seed: 1)
            try await daemon.publish(seed: 2)
            start.yield()
            _ = try await daemon.state.wait(until: .now + .seconds(30)) { $0.active?.number == 2 }
        }
        await #expect(throws: CancellationError.self) { try await caller.value }
        await #expect(throws: CancellationError.self) { try await requests.promote(2) }
    }
}
