import ControlAPI
import NIOCore
import NIOHTTP1
import Core

/// Closes connections whose client takes too long to send a request or to read the answer.
///
/// It comes after the HTTP codec in the pipeline. Only time spent waiting for the client counts: the timer stops while
/// the server works or has not asked for more bytes.
final class TimeoutHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        /// Between requests, or before the first.
        case idle
        /// A head was received; its body has not ended.
        case receiving
        /// Like `receiving`, but the body may take long while bytes keep arriving.
        case uploading
        /// The whole request was received.
        case answering
    }

    private let limits: ControlServer.Limits
    private let activity: (ConnectionTable.Activity) -> Void
    private var phase = Phase.idle
    /// Whole requests whose answers have not ended; more than one if the client pipelines.
    private var pending = 0
    /// Whether an answer has begun and not ended; no other can be sent then.
    private var hasBegun = false
    /// Whether the last answer was sent: the request was not finished, and the connection closes.
    private var isEnding = false
    private var isReadOutstanding = false
    private var timer: Scheduled<Void>?
    private var outputTimer: Scheduled<Void>?

    init(limits: ControlServer.Limits, activity: @escaping (ConnectionTable.Activity) -> Void) {
        self.limits = limits
        self.activity = activity
    }

    func channelActive(context: ChannelHandlerContext) {
        // The first request must come at once; the time between requests may be longer.
        start(limits.request, context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        outputTimer?.cancel()
    }

    func read(context: ChannelHandlerContext) {
        isReadOutstanding = true
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReadOutstanding = false
        switch unwrapInboundIn(data) {
        case .head(let head):
            if head.method == .PUT {
                phase = .uploading
                activity(.serving)
                start(limits.stall, context)
            } else {
                phase = .receiving
                start(limits.request, context)
            }
        case .body:
            if phase == .uploading { start(limits.stall, context) }
        case .end:
            phase = .answering
            pending += 1
            timer?.cancel()
            activity(.serving)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head): if head.status.code >= 200 { hasBegun = true }
        case .body: break
        case .end:
            hasBegun = false
            pending -= 1
            if pending < 0 {
                isEnding = true
            } else if pending == 0, phase == .answering {
                phase = .idle
                activity(.waiting)
                start(limits.keepAlive, context)
            }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        outputTimer?.cancel()
        if context.channel.isWritable {
            activity(phase == .idle ? .waiting : .serving)
        } else {
            activity(.blocked)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            outputTimer = context.eventLoop.scheduleTask(in: limits.stall) {
                bound.value.close(mode: .all, promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError, mayAnswer {
            let reason = error as? HTTPParserError == .headerOverflow ? "its head is too long" : "it is not HTTP/1.1"
            let failure = ControlError(
                .badHTTP, "The request cannot be read: \(reason).", remedy: "Send HTTP/1.1.")
            end(with: failure, context)
        } else {
            context.close(promise: nil)
        }
    }

    private func start(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: time) {
            let (handler, context) = bound.value
            handler.timedOut(time, context)
        }
    }

    private func timedOut(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        switch phase {
        case .answering: break
        case .uploading where !isReadOutstanding: start(time, context)
        case .receiving where pending > 0, .uploading where pending > 0: start(time, context)
        case .receiving where mayAnswer, .uploading where mayAnswer: end(with: Self.timeout, context)
        case .idle, .receiving, .uploading: context.close(mode: .all, promise: nil)
        }
    }

    private var mayAnswer: Bool { pending == 0 && !hasBegun && !isEnding }

    private static let timeout = ControlError(
        .requestTimeout, "The request did not arrive in time.", remedy: "Send the whole request without pauses.")

    /// Sends an error and closes.
    private func end(with failure: ControlError, _ context: ChannelHandlerContext) {
        isEnding = true
        let response = Response.error(failure)
        let head = Response.head(
            status: response.status, type: response.type, length: response.body.count, keepAlive: false)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .all, promise: nil)
    }
}
