import ControlAPI
import NIOCore
import Core

/// Sends a new client the reason why its connection is refused, without reading what it sends, and closes it.
final class RefusalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let failure: ControlError

    init(_ failure: ControlError) { self.failure = failure }

    func channelActive(context: ChannelHandlerContext) {
        let body = Response.error(failure).body
        var buffer = ByteBuffer()
        buffer.writeString(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: \(body.count)\r\n"
                + "connection: close\r\n\r\n")
        buffer.writeBytes(body)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        context.close(promise: nil)
    }
}

extension ControlError {
    static let tooManyConnections = ControlError(
        .tooManyConnections, "The daemon has as many connections as it accepts.",
        remedy: "Try again in a moment, and keep fewer connections open.")
    static let ending = ControlError(
        .ending, "The daemon is shutting down.",
        remedy: "Try again after it has restarted; its log has the reason.")
}
